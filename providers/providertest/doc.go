// Package providertest holds the suites that every provider must pass, those of this module and others alike:
//
//	func TestLink(t *testing.T)     { providertest.TestLink(t, connect) }
//	func TestStore(t *testing.T)    { providertest.TestStore(t, open) }
//	func TestProvider(t *testing.T) { providertest.TestProvider(t, providertest.Provider{Connect: connect, Open: open}) }
//
// TestLink and TestStore check the contracts clause by clause; a subtest carries the number of its clause. TestProvider runs
// whole replicas over the links, behind wrappers that lose, delay and swallow frames, and restarts them from the store;
// rapid draws what happens, and shrinks what fails.
//
// A suite fails if goroutines are left over when it ends.
package providertest

package fuzz

import "testing"

// CheckSchema is Check for a schema whose handles are not known.
func CheckSchema(t testing.TB, s Schema, o *Options) Count {
	t.Helper()
	return check(t, s, o)
}

// LawsOf is Laws for a schema whose handles are not known.
func LawsOf(t testing.TB, s Schema, o *Options) {
	t.Helper()
	laws(t, s, o)
}

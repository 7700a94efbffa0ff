package fuzz

import "testing"

// NameOf returns the name of a schema.
func NameOf(s Schema) string { return must(s.erase()).name }

// CheckSchema is Check for a schema whose handles are not known.
func CheckSchema(t testing.TB, s Schema, o *Options) Count {
	t.Helper()
	return check(t, s, o, everything)
}

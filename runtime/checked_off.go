//go:build !check

package runtime

const checked = false

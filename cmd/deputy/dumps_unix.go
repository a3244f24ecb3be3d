//go:build unix && !linux

package main

import "golang.org/x/sys/unix"

// noDumps keeps keys and tokens out of core files.
func noDumps() error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }

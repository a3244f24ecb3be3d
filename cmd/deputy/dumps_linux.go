package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// noDumps keeps keys and tokens out of core files. The limit alone is not
// enough: a kernel that pipes cores to a program does not ask it. Not dumpable
// also means that other processes of the same user cannot attach.
func noDumps() error {
	return errors.Join(
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}),
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
	)
}

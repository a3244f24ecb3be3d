//go:build !windows

package main

import (
	"os/exec"
	"syscall"
)

// detach lets a daemon outlive the terminal and the client that started it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

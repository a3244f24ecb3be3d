package main

import (
	"os/exec"
	"syscall"
)

const detachedProcess = 0x00000008 // CreateProcess, process creation flags

// detach lets a daemon outlive the terminal and the client that started it.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: detachedProcess | syscall.CREATE_NEW_PROCESS_GROUP}
}

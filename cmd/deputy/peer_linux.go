package main

import (
	"net"
	"syscall"
)

// peerUID asks the kernel who is at the other end (unix(7), SO_PEERCRED).
func peerUID(conn net.Conn) (uid int, known bool) {
	pl, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := pl.SyscallConn()
	if err != nil {
		return -1, true
	}
	uid = -1 // on any doubt: nobody
	_ = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	return uid, true
}

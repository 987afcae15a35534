package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"
)

// setns is the number of the system call, which package syscall does not have.
var setns = map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]

// In runs f in a network namespace that "ip netns" knows by name: sockets and devices
// that f opens belong there for ever. The thread that was there is not used again.
func In(namespace string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		done <- in(namespace, f)
	}()
	return <-done
}

func in(namespace string, f func() error) error {
	if setns == 0 {
		return fmt.Errorf("gateway: the number of setns is not known on %s", runtime.GOARCH)
	}
	ns, err := os.Open(filepath.Join("/run/netns", namespace))
	if err != nil {
		return err
	}
	defer ns.Close()
	if _, _, no := syscall.Syscall(setns, ns.Fd(), syscall.CLONE_NEWNET, 0); no != 0 {
		return fmt.Errorf("gateway: enter %s: %w", namespace, no)
	}
	return f()
}

const (
	tunSetIff = 0x400454ca // TUNSETIFF
	iffTun    = 0x0001     // IP packets, no Ethernet
	iffNoPI   = 0x1000     // and nothing in front of them
)

// Device makes a TUN device in a namespace. What is routed to it there is read from
// it, one packet a read; what is written comes out of it.
func Device(namespace, name string) (device *os.File, err error) {
	err = In(namespace, func() error {
		fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("gateway: /dev/net/tun: %w", err)
		}
		var request struct {
			name  [16]byte
			flags uint16
			_     [22]byte
		}
		copy(request.name[:15], name)
		request.flags = iffTun | iffNoPI
		if _, _, no := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), tunSetIff, uintptr(unsafe.Pointer(&request))); no != 0 {
			syscall.Close(fd)
			return fmt.Errorf("gateway: device %s: %w", name, no)
		}
		device = os.NewFile(uintptr(fd), name) // known to the poller: Close ends a Read
		return nil
	})
	return device, err
}

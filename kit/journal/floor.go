package journal

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// Pace is how fast blobs of one size became durable.
type Pace struct {
	Appends int
	Octets  int64
	Took    time.Duration
	Slowest time.Duration // of one append
}

// PerSecond is the appends in a second.
func (p Pace) PerSecond() float64 { return float64(p.Appends) / p.Took.Seconds() }

// MegabytesPerSecond is the octets in a second, in millions.
func (p Pace) MegabytesPerSecond() float64 { return float64(p.Octets) / 1e6 / p.Took.Seconds() }

func (p Pace) String() string {
	return fmt.Sprintf("%.0f appends/s, %.1f MB/s, slowest %v", p.PerSecond(), p.MegabytesPerSecond(), p.Slowest.Round(10*time.Microsecond))
}

const floorFile = 1 << 30 // octets, after which the file is begun anew

// Floor measures what no journal on this disk can beat by much: blobs of blobSize
// octets written to the end of a file in dir, each followed by fdatasync.
func Floor(dir string, blobSize int, seconds float64) (Pace, error) {
	f, err := os.CreateTemp(dir, "floor-*")
	if err != nil {
		return Pace{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	blob := make([]byte, blobSize)
	for i := range blob {
		blob[i] = byte(i * 7)
	}
	at := int64(0)
	return measure(seconds, blobSize, func() error {
		if at += int64(blobSize); at > floorFile {
			at = int64(blobSize)
			if err := f.Truncate(0); err != nil {
				return err
			}
		}
		if _, err := f.WriteAt(blob, at-int64(blobSize)); err != nil {
			return err
		}
		return syscall.Fdatasync(int(f.Fd()))
	})
}

// measure runs one append after the other.
func measure(seconds float64, blobSize int, one func() error) (p Pace, err error) {
	begun := time.Now()
	for p.Took.Seconds() < seconds {
		if err := one(); err != nil {
			return p, err
		}
		took := time.Since(begun)
		p.Slowest = max(p.Slowest, took-p.Took)
		p.Took = took
		p.Appends++
		p.Octets += int64(blobSize)
	}
	return p, nil
}

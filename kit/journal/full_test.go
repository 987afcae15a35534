package journal_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

const room = 6 << 20 // octets until the disk is full

// fullDisk is a file system of that size and a way to give it room again.
func fullDisk(t *testing.T) (dir string, widen func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system; the limit of a file's size is tried without")
	}
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, room), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, func() {
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
	}
}

// smallFiles limits what this process may write to a file.
func smallFiles(t *testing.T) (dir string, widen func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	set := func(limit uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
	}
	set(room)
	t.Cleanup(func() {
		set(old.Cur)
		signal.Reset(syscall.SIGXFSZ)
	})
	return t.TempDir(), func() { set(old.Cur) }
}

// A full disk ends the holder's term, not the process: what was acknowledged is
// there, what failed is not, and when there is room again the holder goes on.
func TestFullDisk(t *testing.T) {
	for name, full := range map[string]func(*testing.T) (string, func()){"full disk": fullDisk, "limit of a file's size": smallFiles} {
		t.Run(name, func(t *testing.T) {
			dir, widen := full(t)
			c := store.Config{Path: filepath.Join(dir, "journal.db"), Checkpoint: journal.Checkpoint}
			db := storetest.OpenConfig(t, c, schemas...)
			a := holder(db, "a")
			claim(t, a, journal.Shards, journal.Shards)
			var acked []string
			var err error
			for n := byte(1); ; n++ {
				text := string(bytes.Repeat([]byte{n}, 100_000))
				if _, err = a.Append(t.Context(), batch(text, int(n))); err != nil {
					break
				}
				if acked = append(acked, text); len(acked) > 200 {
					t.Fatal("the disk is not full after 20 MB")
				}
			}
			t.Logf("after %d batches: %v", len(acked), err)
			if errors.Is(err, journal.ErrFenced) || len(acked) == 0 {
				t.Errorf("after %d batches: %v", len(acked), err)
			}
			if _, err := a.Append(t.Context(), batch("x", 1)); err == nil {
				t.Error("appended to shards that were lost")
			}
			if held, _ := a.Renew(t.Context()); held.Len() != 0 { // it may fail for want of room as well
				t.Errorf("%d shards are held after a failed append", held.Len())
			}
			widen()
			claim(t, a, journal.Shards, journal.Shards)
			same(t, "after the disk was full", replay(t, a, 0, journal.All()), acked)
			add(t, a, "room again", 0)
			acked = append(acked, "room again")
			db.Close()
			b := holder(storetest.OpenConfig(t, c, schemas...), "b")
			same(t, "after a restart", replay(t, b, 0, journal.All()), acked)
			if last, err := b.Read(t.Context(), 0, math.MaxInt, func(int64, *journal.Batch) error { return nil }); err != nil || last == 0 {
				t.Errorf("read up to %d: %v", last, err)
			}
		})
	}
}

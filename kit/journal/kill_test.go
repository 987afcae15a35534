package journal_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

const childStore = "JOURNAL_TEST_STORE" // a file or a URL: the process is a child that appends to it

func TestMain(m *testing.M) {
	if where := os.Getenv(childStore); where != "" {
		log.Fatal(child(context.Background(), where))
	}
	os.Exit(m.Run())
}

// child appends without end and says "number checksum" of each batch after it was
// acknowledged. Its lease is over at once, so that the next child can go on.
func child(ctx context.Context, where string) error {
	c := store.Config{Path: where, Checkpoint: 1 << 20}
	if strings.Contains(where, "://") {
		c = store.Config{URL: where}
	}
	db, err := store.Open(ctx, c)
	if err != nil {
		return err
	}
	l := journal.New(db, "charging", journal.Options{Holder: strconv.Itoa(os.Getpid()), Lease: time.Microsecond, Log: quiet})
	for gained := (journal.Set{}); gained.Len() < journal.Shards; {
		more, err := l.Claim(ctx, journal.Shards)
		if err != nil {
			return err
		}
		gained = gained.Union(more)
	}
	for n := 0; ; n++ {
		blob := make([]byte, 1+rand.IntN(200_000))
		for i := range blob {
			blob[i] = byte(n + i)
		}
		seq, err := l.Append(ctx, &journal.Batch{Shards: journal.Of(n % journal.Shards), Blob: blob})
		if err != nil {
			return err
		}
		if _, err := fmt.Printf("%d %x\n", seq, sha256.Sum256(blob)); err != nil {
			return err
		}
	}
}

// killed runs a child, ends it after some acknowledgements, and returns all of them.
func killed(t *testing.T, where string, after int) (acks []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+where)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil { // an ack cut short was given all the same, but cannot be told
			if err != io.EOF || len(acks) < after {
				t.Fatalf("%d acknowledgements: %v, %s", len(acks), err, complaint.String())
			}
			break
		}
		if acks = append(acks, strings.TrimSpace(line)); len(acks) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed, and says so
	return acks
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilled(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			c := storetest.Config(t, engine)
			storetest.OpenConfig(t, c, schemas...).Close()
			acked, more := map[string]bool{}, 0
			times := map[store.Dialect]int{store.SQLite: 20, store.Postgres: 5}[engine]
			for range times {
				for _, ack := range killed(t, c.Path+c.URL, 1+rand.IntN(30)) {
					acked[ack] = true
				}
			}
			db := storetest.OpenConfig(t, c, schemas...)
			last := int64(0)
			err := holder(db, "a").Replay(t.Context(), 0, journal.All(), func(seq int64, b *journal.Batch) error {
				ack := fmt.Sprintf("%d %x", seq, sha256.Sum256(b.Blob))
				if !acked[ack] {
					more++
				}
				delete(acked, ack)
				if seq <= last {
					t.Errorf("batch %d comes after %d", seq, last)
				}
				last = seq
				return nil
			})
			if err != nil || len(acked) > 0 {
				t.Errorf("%d acknowledged batches are lost (%v)", len(acked), err)
			}
			if more > times {
				t.Errorf("%d batches were not acknowledged, but there was one under way at each of %d ends", more, times)
			}
		})
	}
}

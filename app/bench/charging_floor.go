package bench

import (
	"os"
	"sync"
	"syscall"
	"time"

	"tandem/kit/journal"
)

// floors are what the machine gives at most, in the same run, on the same disk.
type floors struct {
	before, after float64 // records a second of batches of this size, one raw append and fdatasync after the other
	callers       float64 // records a second of as many callers with a log that decides nothing
}

// both is the floor over the two looks at it: the mean time of a batch.
func (f floors) both() float64 { return 2 / (1/f.before + 1/f.after) }

const floorSeconds = 3

// raw is the records a second of raw appends: nothing but the bytes of a batch
// written to the end of a file and made durable.
func raw(folder string, octets, records float64) (float64, error) {
	p, err := journal.Floor(folder, int(octets), floorSeconds)
	return p.PerSecond() * records, err
}

// rawLoop is the records a second of callers who ask again when they were answered,
// and a log that gathers what they hand over, writes it, makes it durable, and
// answers: what an engine would do that took no time to decide and kept no book.
func rawLoop(folder string, callers, octets int, d time.Duration) (float64, error) {
	f, err := os.CreateTemp(folder, "floor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var mu sync.Mutex
	record, gathered, spare := make([]byte, octets), []byte(nil), []byte(nil)
	ask := func(n int) {
		for range n {
			mu.Lock()
			gathered = append(gathered, record...)
			mu.Unlock()
		}
	}
	answers := make(chan int, 2)
	wake := make(chan struct{}, 1)
	var done sync.WaitGroup
	done.Go(func() {
		for n := range answers {
			ask(n)
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	})
	ask(callers)
	began, answered := time.Now(), 0
	for time.Since(began) < d && err == nil {
		mu.Lock()
		batch := gathered
		gathered, spare = spare[:0], batch
		mu.Unlock()
		if len(batch) == 0 {
			<-wake
			continue
		}
		if _, err = f.Write(batch); err == nil {
			err = syscall.Fdatasync(int(f.Fd()))
		}
		answered += len(batch) / octets
		answers <- len(batch) / octets
	}
	took := time.Since(began)
	close(answers)
	done.Wait()
	return float64(answered) / took.Seconds(), err
}

package core

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/kit/journal"
)

// slow is a journal whose disk can be held up.
type slow struct {
	Journal
	disk sync.Mutex
	came chan struct{}
}

func (s *slow) Append(ctx context.Context, b *journal.Batch) (int64, error) {
	select {
	case s.came <- struct{}{}:
	default:
	}
	s.disk.Lock()
	defer s.disk.Unlock()
	return s.Journal.Append(ctx, b)
}

// queued hands a call over whose answer may take a while.
func (r *rig) queued(kind credit.Kind, session string, n uint32, used uint64) (*credit.Call, chan credit.Result) {
	c := ask(kind, session, n, number)
	u := group(c, 10)
	if u.Asked = kind != credit.Terminate; kind != credit.Initial {
		u.Used = []credit.Used{vol(used)}
	}
	answered := make(chan credit.Result, 1)
	c.Done = func(c *credit.Call) { answered <- c.Answer.Result }
	c.Request.Received = r.now().UnixMicro()
	r.e.Charge(c)
	return c, answered
}

// TestR10WhileTheDiskIsSlowEndsAreTakenLongest: as more and more waits for the disk, new
// sessions are sent away first, updates then, and ends when the queue is full. Who was
// taken is answered when the disk is back, and who was sent away comes again and is
// charged: nothing is lost by it.
func TestR10WhileTheDiskIsSlowEndsAreTakenLongest(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.e.Close(t.Context())
		disk := &slow{came: make(chan struct{}, 1)}
		r.wrap = func(j Journal) Journal { disk.Journal = j; return disk }
		r.open()
		ref := NewRef(9, 0)
		r.account(ref, number, 1e12)
		const open, queue = 200, 100
		for i := range open {
			r.request(credit.Initial, fmt.Sprint("s", i), 0, 10, true)
		}
		r.e.Queue = queue
		select {
		case <-disk.came:
		default:
		}
		disk.disk.Lock()
		type waits struct {
			kind     credit.Kind
			session  string
			answered chan credit.Result
		}
		var taken, away []waits
		// fill hands over requests of a kind until one is sent away, and says how many were
		// taken of all kinds by then.
		fill := func(kind credit.Kind, name func(int) string) int {
			for i := 0; ; i++ {
				n := uint32(1)
				if kind == credit.Initial {
					n = 0
				}
				_, answered := r.queued(kind, name(i), n, mib)
				w := waits{kind, name(i), answered}
				select {
				case res := <-answered:
					if res != credit.Busy {
						t.Fatalf("%v was answered with %v while nothing can be written", kind, res)
					}
					away = append(away, w)
					return len(taken)
				default:
					taken = append(taken, w)
				}
			}
		}
		got := [...]int{
			fill(credit.Initial, func(i int) string { return fmt.Sprint("new", i) }),
			fill(credit.Update, func(i int) string { return fmt.Sprint("s", i) }),
			fill(credit.Initial, func(i int) string { return fmt.Sprint("more", i) }),
			fill(credit.Terminate, func(i int) string { return fmt.Sprint("s", 100+i) }),
			fill(credit.Update, func(i int) string { return fmt.Sprint("s", 60+i) }),
		}
		if want := [...]int{queue/2 + 1, queue*3/4 + 1, queue*3/4 + 1, queue + 1, queue + 1}; got != want {
			t.Errorf("taken until new sessions, updates, new ones, ends, and updates were sent away: %v, not %v", got, want)
		}
		disk.disk.Unlock()
		used := 0
		for _, w := range taken {
			select {
			case res := <-w.answered:
				if res != credit.Success {
					t.Errorf("%v of %s was taken and is answered with %v", w.kind, w.session, res)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("no answer to what was taken")
			}
			if w.kind != credit.Initial {
				used++
			}
		}
		for _, w := range away {
			n := uint32(1)
			if w.kind == credit.Initial {
				n = 0
			}
			if _, answered := r.queued(w.kind, w.session, n, mib); <-answered != credit.Success {
				t.Errorf("%v of %s is sent away again", w.kind, w.session)
			}
			if w.kind != credit.Initial {
				used++
			}
		}
		if left, _, _ := r.value(ref, 1); left != 1e12-int64(used)*1e7 {
			t.Errorf("%d MiB were used, and %d of 10^-9 taken", used, 1e12-left)
		}
		r.sound(ref)
		r.ledger(ref)
	})
}

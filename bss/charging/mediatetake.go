package charging

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"tandem/bss/charging/core"
	"tandem/edge/cdr"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// taking is a file on its way through mediation. Files are charged one after the other,
// in the order they come in; while one is charged, the next is looked at and the one
// before is ended, since both of these wait for the store's writer:
//
//	look: read, enter, meet others │ charge: block after block │ end: write, move away
//	                             3 │ 2                         │ 1
type taking struct {
	feed Feed // its source is who the file says it is from, if the feed names none
	path string
	body *os.File
	s    survey
	out  File
	err  error
	over chan struct{} // closed when it was ended
}

// Take deals with one file: charges all its records, or none and says why. It may
// be called again for a file that was interrupted.
func (m *Mediator) Take(ctx context.Context, f *Feed, path string) (File, error) {
	x := m.look(ctx, f, path, nil)
	m.carryOut(ctx, x)
	m.end(ctx, x)
	return x.out, x.err
}

// filesBehind is how many files may be charged and not be written down yet: what is
// charged faster than it can be seen only lets the journal grow.
const filesBehind = 2

// TakeEach takes files as Take does, and tells of each how it ended, in their order.
// It asks for a file before the one before it has ended, and returns when all have.
// Files that come after the end of ctx are not looked at.
func (m *Mediator) TakeEach(ctx context.Context, files iter.Seq2[*Feed, string], ended func(File, error)) {
	looked, charged := make(chan *taking), make(chan *taking, 1)
	go func() {
		defer close(looked)
		var before []*taking
		for f, path := range files {
			if ctx.Err() != nil {
				return
			}
			before = slices.DeleteFunc(before, (*taking).ended)
			x := m.look(ctx, f, path, before)
			before = append(before, x)
			looked <- x
		}
	}()
	go func() {
		defer close(charged)
		type end struct {
			tenant string
			at     int64 // in the journal
		}
		var ends []end // of those charged last
		for x := range looked {
			if len(ends) == filesBehind {
				m.room.awaitProjected(ctx, ends[0].tenant, ends[0].at)
				ends = ends[1:]
			}
			m.carryOut(ctx, x)
			ends = append(ends, end{x.feed.Tenant, m.room.Engine.Position()})
			charged <- x
		}
	}()
	for x := range charged {
		m.end(ctx, x)
		ended(x.out, x.err)
	}
}

// ended says whether the file was ended.
func (x *taking) ended() bool {
	select {
	case <-x.over:
		return true
	default:
		return false
	}
}

// look reads a file through and enters it. before are files that may not have ended yet.
func (m *Mediator) look(ctx context.Context, f *Feed, path string, before []*taking) *taking {
	x := &taking{feed: *f, path: path, over: make(chan struct{})}
	x.out = File{Source: f.Source, Name: filepath.Base(path), Format: f.Format, Sequence: -1}
	x.err = m.lookAt(ctx, x, before)
	return x
}

func (m *Mediator) lookAt(ctx context.Context, x *taking, before []*taking) (err error) {
	if x.body, err = os.Open(x.path); err != nil {
		return err
	}
	sum := sha256.New()
	if x.out.Size, err = io.Copy(sum, x.body); err != nil {
		return err
	}
	x.out.Hash = hex.EncodeToString(sum.Sum(nil))
	s, wrong := x.feed.survey(x.body)
	x.s = s
	x.feed.Source = cmp.Or(x.feed.Source, s.head.Source, "unnamed")
	x.out.Source, x.out.Sequence, x.out.Records, x.out.Skipped = x.feed.Source, s.head.Sequence, s.head.Records, s.head.Skipped
	if wrong == nil && len(s.keys) > 0 {
		x.out.First, x.out.Last = store.Instant(s.first), store.Instant(s.last)
	}
	if err := x.awaitSame(ctx, before); err != nil {
		return err
	}
	if err := m.begin(ctx, &x.feed, &x.out, &x.s, wrong); err != nil || x.out.State != "taking" {
		return err
	}
	return m.meetOthers(ctx, &x.feed, &x.s, x.out.Number)
}

// awaitSame waits for the end of the same file under another name: until then it would
// look like one that was interrupted.
func (x *taking) awaitSame(ctx context.Context, before []*taking) error {
	for _, b := range before {
		if b.out.Hash != x.out.Hash {
			continue
		}
		select {
		case <-b.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// carryOut charges a file that is to be charged. What was decided and may be lost is
// looked for in the journal, and the rest charged again.
func (m *Mediator) carryOut(ctx context.Context, x *taking) {
	if x.err != nil || x.out.State != "taking" {
		return
	}
	for x.err = core.ErrLost; errors.Is(x.err, core.ErrLost); x.out.resumed = true {
		x.err = m.charge(ctx, x)
	}
	if x.err == nil {
		m.room.fileTaken()
	}
}

// end writes down that a file was charged, and moves it away.
func (m *Mediator) end(ctx context.Context, x *taking) {
	defer close(x.over)
	if x.body != nil {
		defer x.body.Close()
	}
	defer fault.Wrap(&x.err, "mediation of %s", x.feed.Source)
	if x.err == nil && x.out.State == "taking" {
		x.err = m.finish(ctx, &x.feed, &x.out)
	}
	if x.err != nil {
		return
	}
	to := x.feed.Done
	if x.out.State != "taken" {
		to = x.feed.Failed
	}
	if to != "" {
		x.err = cdr.Place(x.path, filepath.Join(to, x.out.Name))
	}
}

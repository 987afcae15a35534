package core

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tandem/edge/credit"
	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// The engine has bad days in a process of its own: this test binary again, told where
// its journal lies. It reads requests from its input and writes answers to its output,
// a line each, so that what was answered before it died is known.
const badEnv = "CHARGING_TEST_NODE"

func TestMain(m *testing.M) {
	if doc := os.Getenv(badEnv); doc != "" {
		log.Fatal(node(doc))
	}
	os.Exit(m.Run())
}

// place is where a node's journal lies.
type place struct {
	Path, URL string
	Log       string
	Limit     uint64 // of its files, until it is told to widen; 0: none
}

func (p place) config() store.Config {
	return store.Config{Path: p.Path, URL: p.URL, Checkpoint: 1 << 20}
}

// node is the child: an engine that saves snapshots all the time.
func node(doc string) error {
	var p place
	if err := json.Unmarshal([]byte(doc), &p); err != nil {
		return err
	}
	ctx := context.Background()
	widen, err := limitFiles(p.Limit)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, p.config())
	if err != nil {
		return err
	}
	book, err := makeBook()
	if err != nil {
		return err
	}
	var step atomic.Int64
	e := New(Config{Book: book, Log: quiet, Lease: time.Second, Clock: func() time.Time { return time.Now().Add(time.Duration(step.Load()) * time.Second) },
		Journal: journal.New(db, p.Log, journal.Options{Holder: fmt.Sprint(os.Getpid()), Lease: time.Microsecond, Log: quiet})})
	if err := e.Start(ctx); err != nil {
		return err
	}
	go func() {
		for {
			_ = e.Snapshot(ctx) // one that fails is tried again; on a full disk all do
		}
	}()
	out := &answers{w: os.Stdout}
	out.line("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, rest, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "clock":
			n, err := strconv.ParseInt(rest, 10, 64)
			if err != nil {
				return err
			}
			step.Store(n)
		case "widen":
			if err := widen(); err != nil {
				return err
			}
		default:
			c, err := readRequest(in.Text())
			if err != nil {
				return err
			}
			c.Done = func(c *credit.Call) {
				g := &credit.Granted{Result: c.Answer.Result}
				if len(c.Answer.Units) > 0 {
					g = &c.Answer.Units[0]
				}
				out.line(fmt.Sprintf("%s %d %d %d %d", verb, c.Answer.Result, g.Result, g.Grant.Total, g.Final.Action))
			}
			e.Charge(c)
		}
	}
	if err := e.Close(ctx); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// answers writes whole lines.
type answers struct {
	mu sync.Mutex
	w  io.Writer
}

func (a *answers) line(s string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = a.w.Write([]byte(s + "\n")) // who does not read any more has killed us
}

// limitFiles limits what the process may write to a file, as a full disk does.
func limitFiles(limit uint64) (widen func() error, err error) {
	if limit == 0 {
		return func() error { return nil }, nil
	}
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return nil, err
	}
	set := func(n uint64) error {
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: old.Max})
	}
	return func() error { return set(old.Cur) }, set(limit)
}

// sent is one request as its client made it. It may be sent more than once.
type sent struct {
	talk   *talk
	kind   credit.Kind
	number uint32
	used   uint64
	answer string // the first one that was given; "": none yet
}

// line is a request on its way to the node; id tells which sending it was.
func (s *sent) line(id int) string {
	return fmt.Sprintf("%d %d %s %d %d %d", id, s.kind, s.talk.name, s.number, s.talk.msisdn, s.used)
}

func readRequest(line string) (*credit.Call, error) {
	var id, kind int
	var name string
	var n uint32
	var msisdn, used uint64
	if _, err := fmt.Sscan(line, &id, &kind, &name, &n, &msisdn, &used); err != nil {
		return nil, fmt.Errorf("%q: %w", line, err)
	}
	c := ask(credit.Kind(kind), name, n, msisdn)
	u := group(c, 10)
	u.Asked = c.Request.Kind != credit.Terminate
	if c.Request.Kind != credit.Initial {
		u.Used = append(u.Used, vol(used))
	}
	return c, nil
}

// talk is a session as its client sees it.
type talk struct {
	name   string
	msisdn uint64
	next   uint32
	grant  uint64
	open   int // requests without an answer
	sent   []*sent
	over   bool
}

// network is the clients: they repeat what was not answered, and now and then what
// was; they send out of order and late.
type network struct {
	*testing.T
	place place
	dice  *rand.Rand
	refs  []Ref
	who   []uint64 // subscribers, by account: refs[i%len(refs)]
	talks []*talk
	all   []*talk

	in      io.WriteCloser
	out     *bufio.Reader
	cmd     *exec.Cmd
	said    *bytes.Buffer // what the node complained of
	id      int
	flying  map[int]*sent // sendings without an answer
	late    []*sent       // to be sent once more
	step    int64         // of the node's clock, seconds
	stats   struct{ answers, again, disorder, late, busy, kills, steps int }
	reached int // answers of this node
}

// start starts a node and sends again what nobody has answered.
func (n *network) start() {
	n.Helper()
	doc, err := json.Marshal(n.place)
	if err != nil {
		n.Fatal(err)
	}
	n.cmd, n.said = exec.Command(os.Args[0]), &bytes.Buffer{}
	n.cmd.Env, n.cmd.Stderr = append(os.Environ(), badEnv+"="+string(doc)), n.said
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		n.Fatal(err)
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		n.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.Fatal(err)
	}
	n.out = bufio.NewReaderSize(out, 1<<20)
	if line, err := n.out.ReadString('\n'); err != nil || line != "ready\n" {
		n.Fatalf("the node says %q, %v: %s", line, err, n.said)
	}
	n.tell("clock %d", n.step)
	again := map[*sent]bool{}
	for _, s := range n.flying {
		again[s] = s.answer == ""
	}
	n.flying, n.reached = map[int]*sent{}, 0
	for _, t := range n.all { // in the order they were made
		for _, s := range t.sent {
			if again[s] {
				n.send(s)
			}
		}
	}
}

func (n *network) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(n.in, format+"\n", args...) // a node that is dead says so by its answers
}

func (n *network) send(s *sent) {
	n.id++
	n.flying[n.id] = s
	n.tell("%s", s.line(n.id))
}

// open begins a session.
func (n *network) open() *talk {
	i := len(n.all)
	t := &talk{name: fmt.Sprint("s", i), msisdn: n.who[i%len(n.who)]}
	n.all = append(n.all, t)
	n.send(n.make(t, credit.Initial, 0))
	return t
}

func (n *network) make(t *talk, kind credit.Kind, used uint64) *sent {
	s := &sent{talk: t, kind: kind, number: t.next, used: used}
	t.next++
	t.open++
	t.over = t.over || kind == credit.Terminate
	t.sent = append(t.sent, s)
	return s
}

// goOn makes the next request of a session, or of a new one in its place.
func (n *network) goOn(i int, draining bool) {
	t := n.talks[i]
	switch {
	case t.open > 0:
		return
	case t.over && draining:
		return
	case t.over:
		n.talks[i] = n.open()
		return
	case draining || n.dice.IntN(12) == 0:
		n.send(n.make(t, credit.Terminate, n.uses(t)))
		return
	}
	s := n.make(t, credit.Update, n.uses(t))
	if n.dice.IntN(50) == 0 { // the next one overtakes it
		n.stats.disorder++
		n.send(n.make(t, credit.Update, n.uses(t)))
	}
	n.send(s)
	if n.dice.IntN(50) == 0 {
		n.stats.again++
		n.send(s)
	}
	if n.dice.IntN(50) == 0 {
		n.late = append(n.late, s)
	}
}

// uses is what a client has used of its grant: most often a part, sometimes more.
func (n *network) uses(t *talk) uint64 {
	if n.dice.IntN(20) == 0 {
		return n.dice.Uint64N(t.grant + 3<<20)
	}
	return n.dice.Uint64N(t.grant/8 + 1)
}

var errDead = errors.New("the node is dead")

// hear takes the next answer.
func (n *network) hear(draining bool) error {
	n.Helper()
	line, err := n.out.ReadString('\n')
	if err != nil {
		return errDead
	}
	var id, result, of, action int
	var grant uint64
	if _, err := fmt.Sscan(line, &id, &result, &of, &grant, &action); err != nil {
		n.Fatalf("%q: %v", line, err)
	}
	s := n.flying[id]
	if s == nil {
		n.Fatalf("an answer to what was not asked: %q", line)
	}
	delete(n.flying, id)
	if credit.Result(result) == credit.Busy {
		n.stats.busy++
		if s.answer == "" {
			n.send(s)
		}
		return nil
	}
	n.reached++
	n.stats.answers++
	_, text, _ := strings.Cut(line, " ")
	if s.answer != "" {
		if t := s.talk; text != s.answer && t.next-s.number <= answersKept && !(s.kind == credit.Initial && t.over) {
			n.Errorf("session %s, request %d: first %q, then %q", t.name, s.number, s.answer, text)
		}
		return nil
	}
	n.answered(s, text, credit.Result(result), grant)
	for i, t := range n.talks {
		if t == s.talk {
			n.goOn(i, draining)
		}
	}
	return nil
}

func (n *network) answered(s *sent, text string, result credit.Result, grant uint64) {
	n.Helper()
	t := s.talk
	s.answer = text
	t.open--
	if s.number+1 == t.next {
		t.grant = grant
	}
	switch result {
	case credit.Success:
	case credit.UnknownSession: // it was stale: the use is in suspense
		t.over = true
	default:
		n.Fatalf("session %s, request %d: %v", t.name, s.number, result)
	}
}

// trouble is what happens beside: late requests, and a clock that is stepped.
func (n *network) trouble() {
	if len(n.late) > 0 && n.dice.IntN(50) == 0 {
		n.stats.late++
		n.send(n.late[0])
		n.late = n.late[1:]
	}
	if n.dice.IntN(200) == 0 {
		n.stats.steps++
		n.step = n.dice.Int64N(3600) - 1800
		n.tell("clock %d", n.step)
	}
}

// kill ends the node in the middle of it all, and reads what it had answered.
func (n *network) kill() {
	n.Helper()
	n.stats.kills++
	if err := n.cmd.Process.Kill(); err != nil {
		n.Fatal(err)
	}
	for n.hear(true) == nil { // nobody hears what is sent now: it is sent again
	}
	_ = n.in.Close()
	_ = n.cmd.Wait() // it was killed, and says so
}

// run lets the clients talk until a number of answers was heard.
func (n *network) run(answers int) {
	n.Helper()
	for i := range n.talks {
		n.goOn(i, false)
	}
	for n.reached < answers {
		if err := n.hear(false); err != nil {
			n.Fatalf("%v: %s", err, n.said)
		}
		n.trouble()
	}
}

// rest ends all sessions, and the node.
func (n *network) rest() {
	n.Helper()
	for i := range n.talks {
		n.goOn(i, true)
	}
	for len(n.flying) > 0 {
		if err := n.hear(true); err != nil {
			n.Fatalf("%v: %s", err, n.said)
		}
	}
	_ = n.in.Close()
	if err := n.cmd.Wait(); err != nil {
		n.Fatalf("%v: %s", err, n.said)
	}
}

const (
	badMoney = int64(1e15)
	badData  = int64(200 * mib)
)

// badDay prepares accounts, of which the first is a family's, and clients.
func badDay(t *testing.T, p place, sessions int) *network {
	t.Helper()
	n := &network{T: t, place: p, flying: map[int]*sent{}}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	n.dice = rand.New(rand.NewPCG(seed, 1))
	n.refs = []Ref{NewRef(0, 0), NewRef(0, 1), NewRef(77, 5), NewRef(200, 300)}
	n.inPlace(func(r *rig) {
		for i, ref := range n.refs {
			n.who = append(n.who, 447700960000+uint64(i))
			r.account(ref, n.who[i], badMoney)
			r.give(ref, dataBucket, badData, r.now().Add(30*24*time.Hour))
		}
		for i := range uint64(12) {
			r.member(n.refs[0], 447700961000+i)
			n.who = append(n.who, 447700961000+i)
		}
	})
	for range sessions {
		n.talks = append(n.talks, nil)
	}
	return n
}

// inPlace runs an engine of the test's own where the nodes do.
func (n *network) inPlace(f func(r *rig)) {
	n.Helper()
	db := storetest.OpenConfig(n.T, n.place.config(), journal.Schema())
	r := &rig{T: n.T, db: db, book: basicBook(n.T), at: time.Now(), client: &client{}, log: n.place.Log, Lease: time.Microsecond}
	r.holder = 1000 * (1 + n.stats.kills)
	r.open()
	f(r)
	if err := r.e.Close(context.Background()); err != nil {
		n.Fatal(err)
	}
	db.Close()
}

func (n *network) begin() {
	for i, t := range n.talks {
		if t == nil {
			n.talks[i] = n.open()
		}
	}
}

// adds checks that all that was used is charged once, to the octet and to 10^-9 of
// the currency, or in suspense, and that nothing is held.
func (n *network) adds() {
	n.Helper()
	n.inPlace(func(r *rig) {
		type line struct{ priced, total uint64 }
		type report struct {
			session string
			number  uint32
		}
		lines, data := map[Ref]map[string]*line{}, map[Ref]int64{}
		lost, suspects := map[report]uint64{}, map[report]uint64{}
		names := map[[2]uint64]string{}
		r.moves(func(rec *Record, m *Move) {
			id := [2]uint64{uint64(rec.Shard), rec.Sess}
			switch m.Op {
			case opOpen:
				names[[2]uint64{uint64(rec.Shard), m.Session.Number}] = m.Session.Name()
			case opUse:
				if lines[rec.Ref()] == nil {
					lines[rec.Ref()] = map[string]*line{}
				}
				l := lines[rec.Ref()][names[id]]
				if l == nil {
					l = &line{}
					lines[rec.Ref()][names[id]] = l
				}
				l.priced += m.use.priced
				l.total += m.use.totals.Total
			case opDebit:
				if m.ID == 2 {
					data[rec.Ref()] += m.Amount
				}
			case opSuspense:
				into := lost
				if m.Lost.Reason == DuplicateSuspect {
					into = suspects
				}
				into[report{m.Lost.Session, m.Lost.Number}] = m.Lost.Totals.Total
			}
		})
		recorded := map[string]uint64{}
		for _, ref := range n.refs {
			cost, used, priced := new(big.Int), uint64(0), uint64(0)
			for name, l := range lines[ref] {
				recorded[name] = l.total
				cost.Add(cost, dear(l.priced))
				used += l.total
				priced += l.priced
			}
			if left, held, _ := r.value(ref, 1); big.NewInt(badMoney-left).Cmp(cost) != 0 || held != 0 {
				n.Errorf("account %x: %d of 10^-9 were taken, %v is the price of what was used; %d held", ref, badMoney-left, cost, held)
			}
			if left, held, _ := r.value(ref, 2); badData-left != data[ref] || used != priced+uint64(data[ref]) || held != 0 {
				n.Errorf("account %x: %d octets used, %d paid with money, %d with the bucket, where %d are missing; %d held", ref, used, priced, data[ref], badData-left, held)
			}
			r.heldIsGranted(ref)
			r.ledger(ref)
		}
		for _, t := range n.all {
			want, suspended, suspect := uint64(0), uint64(0), uint64(0)
			for _, s := range t.sent {
				want += s.used
				suspended += lost[report{t.name, s.number}]
				suspect += suspects[report{t.name, s.number}]
			}
			// Of a report that 64 others have overtaken nobody knows whether it came: a person decides.
			if sure := recorded[t.name] + suspended; sure > want || sure+suspect < want || suspect == 0 && sure != want {
				n.Errorf("session %s: %d octets reported, %d recorded, %d in suspense, of %d it is not known whether they came twice", t.name, want, recorded[t.name], suspended, suspect)
			}
		}
	})
	n.Logf("%d sessions, %+v", len(n.all), n.stats)
	if n.stats.again == 0 || n.stats.disorder == 0 {
		n.Error("nothing was repeated or overtaken: the test says nothing")
	}
}

// rounds is how often a node is killed: a few times, or as CHARGING_TEST_KILLS says.
func rounds(t *testing.T) int {
	if text := os.Getenv("CHARGING_TEST_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 10
}

// TestR11NodesThatAreKilledUnderLoadNeitherLoseNorDouble: kill -9 again and again
// while 64 sessions talk, every 50th request is repeated, overtaken and late, and the
// clock is stepped: each answer that was given stands, and money and units taken are
// those of the distinct use.
func TestR11NodesThatAreKilledUnderLoadNeitherLoseNorDouble(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			c := storetest.Config(t, engine)
			n := badDay(t, place{Path: c.Path, URL: c.URL, Log: "bad"}, 64)
			for i := range rounds(t) {
				n.start()
				n.begin()
				if i%4 == 3 {
					n.stale()
				}
				n.run(200 + n.dice.IntN(3000))
				n.kill()
			}
			n.start()
			n.rest()
			n.adds()
			if n.stats.late == 0 || n.stats.steps == 0 {
				t.Error("nothing was late, or the clock not stepped: the test says nothing")
			}
		})
	}
}

// stale lets the clock run ahead until all sessions are over for the node, at a
// moment when no request is on its way: what comes then is of sessions of nobody.
func (n *network) stale() {
	n.Helper()
	for len(n.flying) > 0 {
		if err := n.quiet(); err != nil {
			n.Fatalf("%v: %s", err, n.said)
		}
	}
	n.late = nil
	n.tell("clock %d", 3*3600)
	n.step = 0
	waiting := 0
	for i, t := range n.talks {
		if !t.over {
			waiting++
			n.goOn(i, false)
		}
	}
	for len(n.flying) > 0 {
		if err := n.quiet(); err != nil {
			n.Fatalf("%v: %s", err, n.said)
		}
	}
	n.tell("clock %d", n.step)
}

// quiet takes an answer and lets its session rest.
func (n *network) quiet() error {
	held := n.talks
	n.talks = nil
	err := n.hear(true)
	n.talks = held
	return err
}

// smallFiles is a place for a journal whose node may write so much to a file only, and
// the way to lift that.
func smallFiles(t *testing.T) (place, func(*network)) {
	return place{Path: filepath.Join(t.TempDir(), "journal.db"), Log: "bad", Limit: 3 << 20}, func(n *network) { n.tell("widen") }
}

// fullDisk is a small file system for a journal, and a way to give it room; where the
// test may not mount one it is smallFiles.
func fullDisk(t *testing.T) (p place, widen func(*network)) {
	t.Helper()
	dir := t.TempDir()
	if os.Getuid() != 0 || syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=14m") != nil {
		return smallFiles(t)
	}
	p = place{Path: filepath.Join(dir, "journal.db"), Log: "bad"}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return p, func(*network) {
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
	}
}

// TestR11AFullDiskLosesNoAnswer: when the journal has no room, everybody is told to
// try again; when it has, what was answered stands and what was not is charged once.
func TestR11AFullDiskLosesNoAnswer(t *testing.T) {
	t.Run("full disk", func(t *testing.T) { p, widen := fullDisk(t); full(t, p, widen) })
	t.Run("limit of a file's size", func(t *testing.T) { p, widen := smallFiles(t); full(t, p, widen) })
}

func full(t *testing.T, p place, widen func(*network)) {
	n := badDay(t, p, 64)
	n.start()
	n.begin()
	for n.stats.busy == 0 {
		if err := n.hear(false); err != nil {
			t.Fatalf("%v: %s", err, n.said)
		}
		if n.stats.answers > 200_000 {
			t.Fatal("the disk is not full after 200,000 answers")
		}
	}
	before := n.stats.answers
	widen(n)
	n.run(before + 2000)
	n.kill()
	n.start()
	n.rest()
	n.adds()
	t.Logf("full after %d answers; %d were told to try again", before, n.stats.busy)
}

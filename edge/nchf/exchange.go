package nchf

import (
	"bytes"
	"time"

	"tandem/edge/credit"
)

// operation is what a path and method ask for.
type operation uint8

const (
	opOther operation = iota // not of charging: for the plain handler
	opCreate
	opUpdate
	opRelease
	opWrongMethod
	opUnknown // a path under charging that does not exist
)

var kinds = [...]credit.Kind{opCreate: credit.Initial, opUpdate: credit.Update, opRelease: credit.Terminate}

// Scopes of access tokens (TS 32.291 6.1.9, TS 29.594 6.1.9).
const (
	ScopeCharging = "nchf-convergedcharging"
	ScopeSpending = "nchf-spendinglimitcontrol"
)

const chargingPath = "/nchf-convergedcharging/"

// exchange is one request and its answer, on a stream or behind net/http.
type exchange struct {
	credit.Call
	reading reading
	s       *Server
	op      operation
	version byte   // of the path: 2 or 3
	ref     []byte // session key as it is given to the core

	// What came in.
	method, path, authority, auth, ctype []byte
	secure                               bool
	body                                 []byte
	length                               int64 // content-length; -1: not given

	answer reply
	out    []byte        // the body of the answer
	waiter chan struct{} // of net/http; nil on a stream

	stream
}

// reply is the head of an answer.
type reply struct {
	status    int
	problem   bool
	challenge bool
	retry     uint32
	allow     string
	location  []byte
	ctype     string // of the plain handler; empty: JSON, or problem details
}

func newExchange(s *Server) *exchange {
	x := &exchange{s: s, body: make([]byte, 0, 2048), out: make([]byte, 0, 1024)}
	x.Own = x
	x.Done = s.done
	return x
}

// keepBuffer is the largest buffer, and keepUnits the most units, that an exchange keeps for the next one.
const (
	keepBuffer = 16 << 10
	keepUnits  = 32
)

func (s *Server) exchange() *exchange {
	x := s.pool.Get().(*exchange)
	x.method, x.path, x.authority = x.method[:0], x.path[:0], x.authority[:0]
	x.auth, x.ctype, x.body, x.out, x.ref = x.auth[:0], x.ctype[:0], x.body[:0], x.out[:0], x.ref[:0]
	x.secure, x.length, x.op, x.waiter = false, -1, opOther, nil
	x.answer = reply{location: x.answer.location[:0]}
	x.stream = stream{}
	return x
}

func (s *Server) recycle(x *exchange) {
	if cap(x.body) > keepBuffer {
		x.body = make([]byte, 0, 2048)
	}
	if cap(x.out) > keepBuffer {
		x.out = make([]byte, 0, 1024)
	}
	if cap(x.Request.Units) > keepUnits || cap(x.reading.arena) > keepBuffer {
		x.reading, x.Request, x.Answer = reading{}, credit.Request{}, credit.Answer{}
	}
	s.pool.Put(x)
}

// route reads method and path: {root}/nchf-convergedcharging/v3/chargingdata[/{ref}/(update|release)]. Version 2 is taken too: its
// attributes are a subset.
func (x *exchange) route() {
	path, ok := bytes.CutPrefix(x.path, []byte(x.s.rootPath))
	path, _, _ = bytes.Cut(path, []byte("?"))
	path, under := bytes.CutPrefix(path, []byte(chargingPath))
	if !ok || !under {
		x.op = opOther
		return
	}
	x.op = opUnknown
	switch {
	case bytes.HasPrefix(path, []byte("v3/chargingdata")):
		x.version = 3
	case bytes.HasPrefix(path, []byte("v2/chargingdata")):
		x.version = 2
	default:
		return
	}
	rest := path[len("v3/chargingdata"):]
	ref, verb, _ := bytes.Cut(bytes.TrimPrefix(rest, []byte("/")), []byte("/"))
	switch {
	case len(rest) == 0:
		x.op = opCreate
	case rest[0] != '/' || len(ref) == 0 || len(ref) > maxRef:
	case string(verb) == "update":
		x.op = opUpdate
	case string(verb) == "release":
		x.op = opRelease
	}
	if x.op != opUnknown && string(x.method) != "POST" {
		x.op = opWrongMethod
	}
	if x.op == opUpdate || x.op == opRelease {
		x.ref = append(x.ref, x.s.names.session(ref)...)
	}
}

// run takes a whole request of charging: what can be refused here is, the rest goes to the charger. received is in Unix microseconds.
func (x *exchange) run(received int64) {
	s := x.s
	s.Stats.Received.Add(1)
	if !x.allowed() {
		x.send()
		return
	}
	q := &x.Request
	if f := x.reading.decode(q, kinds[x.op], x.body); f != nil {
		s.Stats.Malformed.Add(1)
		x.refuse(400, f.cause, "The request cannot be read", f.reason, f.param)
		x.send()
		return
	}
	q.Received = received
	if q.Retransmitted {
		s.Stats.Retransmits.Add(1)
	}
	if x.op == opCreate {
		x.ref = s.names.name(x.ref, &x.reading)
	}
	q.Session = x.ref
	if x.overloaded() {
		s.Stats.Overloads.Add(1)
		x.answer.retry = retryAfter
		x.refuse(503, "NF_CONGESTION", "Too busy, try again later", "", "")
		x.send()
		return
	}
	x.Answer.Reset()
	s.charger.Charge(&x.Call)
}

// retryAfter is how many seconds a consumer that was refused for load is asked to wait.
const retryAfter = 2

// allowed checks all but the body; false: the answer is ready.
func (x *exchange) allowed() bool {
	switch {
	case x.op == opUnknown:
		x.refuse(404, "RESOURCE_URI_STRUCTURE_NOT_FOUND", "There is nothing at this path", "", "")
	case x.op == opWrongMethod:
		x.answer.allow = "POST"
		x.refuse(405, "", "Only POST is possible here", "", "")
	case len(x.body) > x.s.cfg.MaxBody:
		x.refuse(413, "", "The body is too large", "", "")
	case !isJSON(x.ctype):
		x.refuse(415, "", "The body must be application/json", "", "")
	default:
		return x.authorized(ScopeCharging)
	}
	return false
}

// authorized checks the access token (TS 29.500 6.7.3, RFC 6750 3).
func (x *exchange) authorized(scope string) bool {
	if x.s.cfg.Verify == nil {
		return true
	}
	scheme, token, _ := bytes.Cut(x.auth, []byte(" "))
	if bytes.EqualFold(scheme, []byte("bearer")) && len(token) > 0 && x.s.cfg.Verify(string(token), scope) == nil {
		return true
	}
	x.s.Stats.Unauthorized.Add(1)
	x.answer.challenge = true
	x.refuse(401, "", "The access token is missing or not valid", "", "")
	return false
}

// isJSON accepts application/json with parameters, and none at all.
func isJSON(ctype []byte) bool {
	name, _, _ := bytes.Cut(ctype, []byte(";"))
	name = bytes.TrimSpace(name)
	return len(name) == 0 || bytes.EqualFold(name, []byte("application/json"))
}

// overloaded refuses work that is too much: first what opens something, then all.
func (x *exchange) overloaded() bool {
	c := x.c
	if c == nil || x.s.cfg.Rate == 0 {
		return false
	}
	c.count++
	return c.count > 2*x.s.cfg.Rate || c.count > x.s.cfg.Rate && x.op == opCreate
}

// refuse makes the answer problem details.
func (x *exchange) refuse(status int, cause, title, detail, param string) {
	x.answer.status, x.answer.problem = status, true
	x.out = appendProblem(x.out[:0], status, cause, title, detail, param)
}

// done encodes what the charger has decided.
func (s *Server) done(call *credit.Call) {
	x := call.Own.(*exchange)
	a := &x.Answer
	result := known(a.Result)
	o := &outcomes[result]
	switch {
	case result != credit.Success:
		if result == credit.Busy {
			x.answer.retry = max(a.RetryAfter, 1)
		}
		x.refuse(o.status, o.cause, o.title, a.Reason, "")
	case x.op == opRelease:
		x.answer.status = 204
	case x.op == opUpdate:
		x.answer.status = 200
		x.out = appendResponse(x.out[:0], &x.reading, a)
	default:
		x.answer.status = 201
		if x.Request.Kind == credit.Initial {
			x.locate()
		}
		x.out = appendResponse(x.out[:0], &x.reading, a)
	}
	x.send()
}

// locate makes the URI of the new resource. The root is the configured one, or what the consumer called us.
func (x *exchange) locate() {
	session := x.ref
	if len(x.Answer.Session) > 0 {
		session = x.Answer.Session
	}
	b := x.answer.location[:0]
	switch {
	case x.s.cfg.Root != "":
		b = append(b, x.s.cfg.Root...)
	case len(x.authority) > 0:
		b = append(b, "http"...)
		if x.secure {
			b = append(b, 's')
		}
		b = append(append(b, "://"...), x.authority...)
	}
	b = append(append(b, chargingPath...), 'v', '0'+x.version)
	b = append(b, "/chargingdata/"...)
	x.answer.location = x.s.names.ref(b, session)
}

// send gives the answer to whoever waits for it; x is no longer the caller's.
func (x *exchange) send() {
	s := x.s
	s.Stats.Answered.Add(1)
	s.Stats.statuses[min(x.answer.status, len(s.Stats.statuses)-1)].Add(1)
	if x.waiter != nil {
		close(x.waiter)
		return
	}
	x.c.reply(x)
}

// contentType is what the body of an answer is.
func (p *reply) contentType() string {
	switch {
	case p.ctype != "":
		return p.ctype
	case p.problem:
		return "application/problem+json"
	}
	return "application/json"
}

// stream is what HTTP/2 knows of an exchange. All but c and id belong to c.mu.
type stream struct {
	c        *conn
	id       uint32
	began    time.Time
	window   int64  // what the peer lets us send
	rest     []byte // of out, not yet in frames
	whole    bool   // the request has ended
	answered bool   // its head is in the buffer of the writer
	blocked  bool   // rest waits for a window
	gone     bool   // reset: the answer is not wanted
	bad      bool   // malformed (RFC 9113 8.1.1)
	regular  bool   // a field that is no pseudo-header has come
	seen     uint8  // pseudo-headers
}

package credit

// Call is one request on its way through the charging engine and back. A face owns its calls
// and may use one again after Done.
type Call struct {
	Request Request
	Answer  Answer

	// Done is called exactly once, from any goroutine, when the answer is
	// durable. It must not block: it encodes and hands to a writer.
	Done func(*Call)

	// Own is the face's own: the connection and the ids of the hop.
	Own any
}

// Charger decides on calls. Charge returns at once; the calls of one session must
// be handed over in the order they came.
type Charger interface {
	Charge(*Call)
}

// Do hands one call over and waits for its answer.
func Do(c Charger, call *Call) {
	done := make(chan struct{})
	call.Done = func(*Call) { close(done) }
	c.Charge(call)
	<-done
}

// Cause is why a server ends a session by itself.
type Cause uint8

const (
	Barred Cause = iota
	Ended        // the product was terminated
	Stale        // nothing was heard for too long
	Fraud
)

// Client is the way back of a face: what the server tells a client by itself
// (RAR and ASR, RFC 6733 8.3 and 8.5; Nchf notify; CoA and Disconnect, RFC 5176).
// Neither method blocks on the network; done hears how the client answered.
type Client interface {
	// Reauthorise asks for a report of the groups of a session; none: of all.
	Reauthorise(peer, session, back []byte, groups []uint32, done func(Outcome))
	// Abort ends the session.
	Abort(peer, session, back []byte, cause Cause, done func(Outcome))
}

// Outcome is how a client answered what it was told.
type Outcome uint8

const (
	Accepted Outcome = iota // it will report
	Gone                    // it does not know the session: close it here
	Refused                 // it knows it and will not
	NoAnswer                // not reachable; supervision will end the session
)

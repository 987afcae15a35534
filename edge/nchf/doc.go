// Package nchf is the service-based face of charging: Nchf_ConvergedCharging (TS 32.290, 32.291) and Nchf_SpendingLimitControl
// (TS 29.594) over HTTP/2, as server, as notifier of the consumers, and as a small fast client.
//
// It owns the wire: HTTP/2 connections (RFC 9113, 7541) with their limits, JSON bodies, problem details, the names of sessions. It
// decides nothing about credit: each request becomes a credit.Call, and is answered when the charger says so. It hears
// re-authorisations, aborts and changes of policy counters (Server is a credit.Client) and tells nothing else. Tokens checks access
// tokens of an NRF, a scope for each service.
//
//	consumer ==h2c/TLS==> reader: frame -> stream -> decode -> credit.Charger.Charge   (in the order of the connection)
//	                                                               |
//	consumer <==========  writer <- buffer <- windows <- encode <-' Done, from any goroutine, once the answer is durable
//	    ^
//	    '== notifyUri == a queue of one worker per session <- Reauthorise, Abort, Changed, Ended
//
// The frames and the header compression are our own: net/http spends several times the work of decoding, deciding and encoding on the
// goroutine, the header maps and the pipes of each stream (BenchmarkLean, BenchmarkPlain), and none of that is needed for one kind of
// request whose answer comes from elsewhere. What is not hot is not lean: other paths than those of charging, and connections
// that speak HTTP/1.1, go to an http.Handler: the same codec behind net/http.
//
// A stream of the lean loop (RFC 9113 5.1, the side that is called):
//
//	HEADERS --> open --END_STREAM--> at the charger --Done--> answer queued --window--> gone
//	              |                        |
//	              '--RST_STREAM, timeout --'--RST_STREAM: the answer is dropped, the charge stands; a retry finds it
package nchf

package radius_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"tandem/edge/credit"
	"tandem/edge/radius"
)

// null says Success at once.
type null struct{}

func (null) Charge(c *credit.Call) {
	c.Answer.Result = credit.Success
	c.Done(c)
}

// BenchmarkLoopback sends accounting over the loopback and waits for every answer, with the load generator in the same process: to a
// charger that does nothing, and to the ledger, which syncs its file before it answers. cpu-ns is what both sides together took of the
// processors, for machines that have other work too.
func BenchmarkLoopback(b *testing.B) {
	b.Run("null", func(b *testing.B) { loopback(b, func(c *radius.Config) { c.Charger = null{} }) })
	b.Run("durable", func(b *testing.B) { loopback(b, func(*radius.Config) {}) })
}

func loopback(b *testing.B, change func(*radius.Config)) {
	t := setup(b, change)
	k := dial(b, t.server.AcctAddr(), func(c *radius.ClientConfig) { c.Ports = 8 })
	var answers, lost atomic.Int64
	done := make(chan struct{})
	total := int64(b.N)
	b.ResetTimer()
	before := radius.CPU()
	for i := range b.N {
		r := radius.Record{Phase: radius.Interim, NAS: "bng-1", User: "alice@example.net", Session: fmt.Sprintf("s-%08d", i%100_000),
			Seconds: uint32(i), Input: uint64(i) << 20, Output: uint64(i) << 24, At: 1_700_000_000 + int64(i)}
		err := k.Send(radius.AccountingRequest, r.Append, func(_ radius.Packet, err error) {
			if err != nil {
				lost.Add(1)
			}
			if answers.Add(1) == total {
				close(done)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	<-done
	b.ReportMetric(float64(radius.CPU()-before)/float64(b.N), "cpu-ns/request")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(lost.Load()), "lost")
}

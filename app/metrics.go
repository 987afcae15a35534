package app

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tandem/kit/store"
)

// metrics are the node's own figures, in a registry of their own.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tandem_http_request_seconds", Help: "Duration of HTTP requests by API, method and status class.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	}, []string{"api", "method", "status"})}
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// backlog are the sizes that tell an operator that something waits: measured in
// the store when they are asked for, so that every node says the same.
var backlog = []struct{ name, help, sql string }{
	{"tandem_work_open", "Jobs not yet done.", "SELECT count(*) FROM work_job WHERE state = 'open'"},
	{"tandem_work_parked", "Jobs that wait for a person.", "SELECT count(*) FROM work_job WHERE state = 'parked'"},
	{"tandem_facts_parked", "Facts that a hearer could not take.", "SELECT count(*) FROM outbox_parked"},
	{"tandem_fallout_open", "Service order tasks in the fallout queue.", "SELECT count(*) FROM fulfilment_fallout WHERE a_state = 'open'"},
	{"tandem_hub_dead_letters", "Events no subscriber took.", "SELECT count(*) FROM tmf_dead_letter"},
}

// Describe and Collect make the backlog a collector.
func (a *App) Describe(c chan<- *prometheus.Desc) { prometheus.DescribeByCollect(a, c) }

// collectCharging says what charging on this node keeps of answers, and what it granted
// without being able to decide.
func (a *App) collectCharging(c chan<- prometheus.Metric) {
	kept, did := a.Charging.Engine.Remembered(), &a.Charging.Engine.Stats
	for _, m := range []struct {
		name, help string
		kind       prometheus.ValueType
		n          int64
	}{
		{"tandem_charging_answers", "Answers kept for requests that come again.", prometheus.GaugeValue, kept.Answers},
		{"tandem_charging_answer_octets", "Memory of these answers.", prometheus.GaugeValue, kept.Octets},
		{"tandem_charging_answers_forgotten_total", "Answers that were forgotten before their time, for lack of room.", prometheus.CounterValue, kept.Forgotten},
		{"tandem_charging_outage_grants_total", "New sessions that were granted a default while nothing could be written.", prometheus.CounterValue, did.Trusted.Load()},
		{"tandem_charging_unknown_grants_total", "Requests of subscribers that nobody knows which were granted a default.", prometheus.CounterValue, did.Welcomed.Load()},
	} {
		c <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.name, m.help, nil, nil), m.kind, float64(m.n))
	}
}

// Collect reads the backlog; what cannot be read is left out and logged.
func (a *App) Collect(c chan<- prometheus.Metric) {
	a.collectCharging(c)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(context.Background()), 2*time.Second)
	defer cancel()
	err := a.DB.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		for _, b := range backlog {
			var n int64
			if err := tx.System().Row(b.sql).Scan(&n); err != nil {
				return err
			}
			c <- prometheus.MustNewConstMetric(prometheus.NewDesc(b.name, b.help, nil, nil), prometheus.GaugeValue, float64(n))
		}
		return nil
	})
	if err != nil {
		a.Log.Warn("metrics are incomplete", "error", err)
	}
}

func (m *metrics) handler(a *App) http.Handler {
	m.registry.MustRegister(a)
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// count measures requests; paths are cut to the API, so that ids do not become
// labels.
func (m *metrics) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		m.requests.WithLabelValues(apiOf(r.URL.Path), method(r.Method), string(rune('0'+rec.status/100))+"xx").Observe(time.Since(began).Seconds())
	})
}

func apiOf(path string) string {
	if !isAPI(path) {
		return "other"
	}
	parts := strings.SplitN(path, "/", 4)
	if len(parts) < 3 || len(parts[2]) > 60 {
		return "other"
	}
	for _, r := range parts[2] {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return "other"
		}
	}
	return parts[2]
}

// method keeps a client from making up labels.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete:
		return m
	}
	return "other"
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

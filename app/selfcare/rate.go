package selfcare

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tandem/kit/fault"
)

// What one customer may ask for: a tenth of the tenant's rate, but no more than a few requests a second, and some more at once, as
// when an app is opened.
const (
	share     = 10
	mostEach  = 5       // requests a second
	atOnce    = 5       // seconds' worth
	mostKnown = 100_000 // customers remembered
)

// rates are the requests of customers, apart from those of the operator's own people and systems.
type rates struct {
	mu        sync.Mutex
	customers map[caller]*rate.Limiter
	tenants   map[string]*rate.Limiter
}

// admit counts a request against what its customer may ask for, and then against what all customers of his tenant together may;
// fault.TooMany if either is used up. perSecond is the latter; 0: there is no limit.
func (r *rates) admit(w http.ResponseWriter, c caller, perSecond float64) error {
	if perSecond <= 0 {
		return nil
	}
	own, all := r.of(c, perSecond)
	if own.Allow() && all.Allow() {
		return nil
	}
	w.Header().Set("Retry-After", "1")
	return fault.New(fault.TooMany, "tooManyRequests", "Too many requests; try again in a second")
}

func (r *rates) of(c caller, perSecond float64) (own, all *rate.Limiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.customers == nil {
		r.customers, r.tenants = map[caller]*rate.Limiter{}, map[string]*rate.Limiter{}
	}
	if own = r.customers[c]; own == nil {
		r.forget()
		each := min(max(1, perSecond/share), mostEach)
		own = rate.NewLimiter(rate.Limit(each), int(each*atOnce))
		r.customers[c] = own
	}
	if all = r.tenants[c.tenant]; all == nil {
		all = rate.NewLimiter(rate.Limit(perSecond), int(max(1, perSecond)))
		r.tenants[c.tenant] = all
	}
	return own, all
}

// forget drops, when there are many, the customers who have asked for nothing of late.
func (r *rates) forget() {
	if len(r.customers) < mostKnown {
		return
	}
	now := time.Now()
	for c, l := range r.customers {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(r.customers, c)
		}
	}
}

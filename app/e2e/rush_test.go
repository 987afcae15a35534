package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/kit/tmf"
)

// Many clients order at once, and some of them want the same number: one of these
// gets it, the others are told so, and everything that was accepted completes.
func TestRush(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		const n = stock - 20
		var accepted, refused atomic.Int64
		var wg sync.WaitGroup
		for client := range 12 {
			r := rand.New(rand.NewPCG(seed, uint64(client)))
			wg.Go(func() {
				for i := range n / 12 {
					item := add([]string{mobile.Prepaid, mobile.FlatM}[r.IntN(2)])
					if r.IntN(2) == 0 {
						item.Product.Characteristic = []tmf.Characteristic{tmf.Text("msisdn", number(170, stock-1-r.IntN(6)))}
					}
					w := wish(item)
					w.ID = fmt.Sprintf("order-%d-%d", client, i)
					body, err := tmf.Encode(w)
					if err != nil {
						t.Error(err)
						return
					}
					a, err := send(t.Context(), o.Addr(), brand, http.MethodPost, orders, "application/json", bytes.NewReader(body))
					code, _ := a.refusal()
					switch {
					case err == nil && a.status == http.StatusCreated:
						accepted.Add(1)
					case err == nil && a.status == http.StatusConflict && code == "numberNotAvailable":
						refused.Add(1)
					default:
						t.Errorf("order %s: %s, %v", w.ID, a, err)
					}
				}
			})
		}
		wg.Wait()
		o.await("all accepted orders completed", func() bool {
			return o.count("SELECT count(*) FROM order_product_order WHERE a_state = '"+order.Completed+"'") == accepted.Load()
		}, func() string { return fmt.Sprintf("%d accepted, %d refused", accepted.Load(), refused.Load()) })
		o.idle()
		o.proves()
		if active := o.count("SELECT count(*) FROM subscription_product WHERE a_status = 'active'"); active != accepted.Load() || refused.Load() == 0 {
			t.Errorf("%d active lines of %d accepted orders, %d refused", active, accepted.Load(), refused.Load())
		}
	})
}

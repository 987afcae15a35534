package charging_test

import (
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/edge/credit"
	"tandem/kit/work"
)

// Subscriptions that are over go when another one is kept.
func TestSubscriptionsOfPolicyControlEnd(t *testing.T) {
	each(t, func(w *world) {
		if err := w.db.Migrate(t.Context(), work.Schema()); err != nil {
			t.Fatal(err)
		}
		w.sell("mno", "line", "prepaid", "4917011")
		who := []credit.Subscriber{{Type: credit.E164, ID: []byte("4917011")}}
		keep := func(id string, expires time.Time) {
			t.Helper()
			if err := w.room.SaveSubscription(t.Context(), charging.PolicySubscription{ID: id, Expires: expires}, who, nil); err != nil {
				t.Fatal(err)
			}
		}
		keep("over", time.Now().Add(-time.Minute))
		keep("longer", time.Now().Add(-time.Minute))
		keep("longer", time.Now().Add(time.Hour)) // it was renewed
		keep("for ever", time.Time{})
		keep("new", time.Now().Add(time.Hour))
		if n := w.count("mno", "SELECT count(*) FROM charging_policy_subscription WHERE tenant = $1"); n != 3 {
			t.Errorf("%d subscriptions are kept, not 3", n)
		}
		for _, id := range []string{"longer", "for ever", "new"} {
			if _, err := w.room.Subscription(t.Context(), id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	})
}

package billing_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

// clerkKills is how often the process is killed while it bills.
func clerkKills() int {
	if n, err := strconv.Atoi(os.Getenv("TANDEM_BILLING_KILLS")); err == nil && n > 0 {
		return n
	}
	return 3
}

// A process that bills is killed over and over at any of its commits, in the middle of one
// month; whoever goes on leaves it to the cent as if nobody had been. At size, by command:
//
//	TANDEM_BILLING_KILL_ACCOUNTS=100000 TANDEM_BILLING_KILLS=20 go test ./bss/billing -run KilledOverAndOver -timeout 3h
func TestARunThatIsKilledOverAndOver(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			accounts, kills, seed := clerkAccounts(), clerkKills(), rand.Uint64()
			t.Logf("%d accounts, %d kills, seed %d", accounts, kills, seed)
			random := rand.New(rand.NewPCG(seed, 3))
			c := tmftest.Config(t, engine, runSchemas, runKinds)
			t.Run("prepare", func(t *testing.T) { // the store is closed with it
				o := &office{world: &world{TB: t, db: tmftest.Open(t, c, runSchemas, runKinds)}}
				for n := 0; n < accounts; n += 2000 {
					o.open(n, min(accounts, n+2000))
				}
			})
			base := clerk{Path: c.Path, URL: c.URL, Page: max(1, min(500, accounts/3)), Limit: 2*time.Minute + time.Duration(accounts)*20*time.Millisecond}
			base.spawn(t) // the first month is not a whole one
			commits := 2*(accounts/base.Page) + 10
			base.Month = 1
			for killed := 0; killed < kills; {
				victim := base
				victim.KillAt, victim.Durable = 1+random.Int64N(max(2, int64(2*commits/kills))), random.IntN(2) == 0
				if victim.spawn(t) {
					killed++
					continue
				}
				base.Month++ // it got through: the next month is killed
			}
			base.spawn(t)
			t.Logf("%s: killed %d times in %d months", engine, kills, base.Month)
		})
	}
}

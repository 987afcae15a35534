package broadband

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tandem/edge/credit"
	"tandem/edge/radius"
	"tandem/kit/store"
	register "tandem/oss/activation/driver/radius"
)

// mark begins the Class of every session that this access server let in.
const mark = "tandem1"

// Levels of a session.
const (
	full = "full"
	slow = "slow"
	out  = ""

	unheard = "?" // what another node has told
)

// verdict is what a login is to have now.
type verdict struct {
	level   string // out: nothing
	reason  string // why it is out, in the user's words
	profile radius.Profile
	left    *quota // what it may use from now on; nil: nobody counts
}

// quota is an amount of octets or seconds; zero is none of it.
type quota struct {
	octets  uint64
	seconds uint64
}

// class names what a session with the verdict was told: level, address, and a digest of the rest but its quota.
func (v *verdict) class() string {
	p := v.profile
	p.Address, p.Class = netip.Addr{}, nil
	sum := sha256.Sum256(strconv.AppendUint(strconv.AppendUint([]byte(p.Filter+"\x00"), p.Up, 36), p.Down, 36))
	return strings.Join([]string{mark, v.level, v.address(), hex.EncodeToString(sum[:6])}, " ")
}

// address is the line's own as it is written in a Class: "-" for none, since a Class has no blank within its parts.
func (v *verdict) address() string {
	if !v.profile.Address.IsValid() {
		return "-"
	}
	return v.profile.Address.String()
}

// told is a Class read back.
type told struct {
	class          string // as of verdict.class
	level, address string
	quota          quota // since the session began
}

func toldIn(class string) (t told, ours bool) {
	parts := strings.Split(class, " ")
	if len(parts) < 4 || len(parts) > 5 || parts[0] != mark {
		return t, false
	}
	t = told{class: strings.Join(parts[:4], " "), level: parts[1], address: parts[2]}
	if len(parts) == 5 {
		octets, seconds, _ := strings.Cut(parts[4], "/")
		t.quota.octets, _ = strconv.ParseUint(octets, 36, 64)
		t.quota.seconds, _ = strconv.ParseUint(seconds, 36, 64)
	}
	return t, true
}

// elsewhere is the class of a session that another node has told something last: all that is known here is that it is ours, and its address.
func elsewhere(class string) string {
	t, ours := toldIn(class)
	if !ours {
		return ""
	}
	return strings.Join([]string{mark, unheard, t.address, "-"}, " ")
}

// since is the profile of the verdict for a session that has used something: gateways count a quota from its beginning.
func (v *verdict) since(used quota, timeout uint32) (p radius.Profile, q quota) {
	p = v.profile
	if v.left == nil {
		p.Class = []byte(v.class())
		return p, q
	}
	if v.left.octets > 0 {
		q.octets = min(used.octets+v.left.octets, plenty)
		p.Octets = q.octets
	}
	if v.left.seconds > 0 {
		q.seconds = min(used.seconds+v.left.seconds, plentySeconds)
		p.Seconds = uint32(min(q.seconds, math.MaxUint32))
		if timeout > 0 {
			p.Seconds = min(p.Seconds, timeout)
		}
	}
	p.Class = []byte(v.class() + " " + strconv.FormatUint(q.octets, 36) + "/" + strconv.FormatUint(q.seconds, 36))
	return p, q
}

// beside is a quota for a session that was told another one: where there is no end any more, the gateway must hear so. One that has
// reported to another node waits for a report here, since what it has used is not known.
func (q *quota) beside(was told) *quota {
	if was.level == unheard {
		return nil
	}
	var now quota
	if q != nil {
		now = *q
	}
	if now.octets == 0 && was.quota.octets > 0 {
		now.octets = plenty
	}
	if now.seconds == 0 && was.quota.seconds > 0 {
		now.seconds = plentySeconds
	}
	if now == (quota{}) {
		return nil
	}
	return &now
}

// near says that two quotas are so close that a gateway need not be told: what was used between two looks is in both, and prices are rounded.
func (q quota) near(o quota) bool {
	apart := func(a, b, most uint64) bool { return max(a, b)-min(a, b) >= most }
	return !apart(q.octets, o.octets, enough) && !apart(q.seconds, o.seconds, enoughSeconds)
}

// errAway says that nothing can be decided on this node now.
var errAway = errors.New("broadband: this node cannot decide now")

// judge says what a login is to have.
func (a *Access) judge(ctx context.Context, u *register.User) (verdict, error) {
	if u.Attributes["enabled"] != "true" {
		return verdict{reason: "This line is suspended"}, nil
	}
	res, left, err := a.left(ctx, u.Name)
	if err != nil {
		return verdict{}, err
	}
	switch res {
	case credit.Success, credit.RatingFailed: // without a price use is kept in suspense, and the customer is not to blame
	case credit.Busy, credit.Failed:
		return verdict{}, errAway
	case credit.UnknownUser:
		return verdict{reason: "This line is not in service"}, nil
	default:
		return verdict{reason: "This line is barred"}, nil
	}
	nothing := left != nil && left.octets < enough && left.seconds < enoughSeconds
	if u.Attributes["empty"] != register.Disconnect {
		return a.profile(u, nothing), nil // who goes on more slowly is not cut off by his gateway
	}
	if nothing {
		return verdict{reason: "Nothing is left to use on this line"}, nil
	}
	v := a.profile(u, false)
	v.left = left
	return v, nil
}

// profile is what a gateway is told of a login that is in.
func (a *Access) profile(u *register.User, nothing bool) verdict {
	v := verdict{level: full}
	down, up := "down", "up"
	if nothing {
		v.level, down, up = slow, "slowDown", "slowUp"
	}
	v.profile = radius.Profile{Seconds: a.SessionTimeout, Interim: a.Interim, Filter: u.Attributes["profile"], Down: kilobits(u.Attributes[down]), Up: kilobits(u.Attributes[up])}
	if address, err := netip.ParseAddr(u.Attributes["ipv4"]); err == nil {
		v.profile.Address = address
	}
	return v
}

// kilobits reads kbit/s as bit/s; the register has checked it.
func kilobits(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return n * 1000
}

// What must be left for a login to have its full speed, and what is as good as no limit.
const (
	enough        = 1 << 20 // octets
	enoughSeconds = 60
	plenty        = 1 << 50 // octets
	plentySeconds = 1 << 31
)

// left asks charging what is left to use; nil: as much as anybody could.
func (a *Access) left(ctx context.Context, user string) (res credit.Result, left *quota, err error) {
	call := &credit.Call{}
	r := &call.Request
	*r = credit.Request{Face: credit.Direct, Kind: credit.Event, Action: credit.Left, Service: credit.Broadband, Peer: []byte("access"), Session: []byte(user),
		Subscribers: []credit.Subscriber{{Type: credit.Private, ID: []byte(user)}}}
	u := r.AddUnit()
	u.Want = credit.Units{Has: credit.HasTotal | credit.HasSeconds, Total: plenty, Seconds: plentySeconds}
	done := make(chan struct{})
	call.Done = func(*credit.Call) { close(done) }
	a.Charger.Charge(call)
	select {
	case <-done:
		return call.Answer.Result, quotaOf(&call.Answer), nil
	case <-ctx.Done():
		return 0, nil, errAway
	}
}

// quotaOf is what an answer says is left; nil: no end is in sight.
func quotaOf(a *credit.Answer) *quota {
	if len(a.Units) == 0 {
		return nil
	}
	switch g := &a.Units[0].Grant; {
	case g.Has&credit.HasTotal != 0 && g.Total < plenty:
		return &quota{octets: g.Total}
	case g.Has&credit.HasSeconds != 0 && g.Seconds < plentySeconds:
		return &quota{seconds: g.Seconds}
	}
	return nil
}

// patience is how long a login may take: gateways ask again after some seconds.
const patience = 3 * time.Second

// Authenticate decides on a login; it implements radius.Authenticator.
func (a *Access) Authenticate(x *radius.Access) {
	go a.admit(x)
}

func (a *Access) admit(x *radius.Access) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	u, err := a.Register.Find(ctx, string(x.User))
	switch {
	case errors.Is(err, store.ErrNotFound):
		a.Stats.Unknown.Add(1)
		x.Reject("User name or password is wrong")
		return
	case err != nil:
		a.ignore(x, err)
		return
	}
	password, err := u.Password()
	if err != nil {
		a.ignore(x, err)
		return
	}
	if !x.Verify(password) {
		a.Stats.Wrong.Add(1)
		x.Reject("User name or password is wrong")
		return
	}
	v, err := a.judge(ctx, &u)
	switch {
	case err != nil:
		a.ignore(x, err)
	case v.level == out:
		a.Stats.Refused.Add(1)
		x.Reject(v.reason)
	default:
		a.accept(x, &v)
	}
}

func (a *Access) accept(x *radius.Access, v *verdict) {
	p, _ := v.since(quota{}, a.SessionTimeout)
	if err := x.Accept(&p); err != nil {
		a.ignore(x, err)
		return
	}
	a.Stats.Accepted.Add(1)
	if v.level == slow {
		a.Stats.Slow.Add(1)
	}
}

// ignore leaves the gateway to ask another server: nothing is known of the user here and now.
func (a *Access) ignore(x *radius.Access, err error) {
	a.Stats.Ignored.Add(1)
	x.Ignore()
	if !errors.Is(err, errAway) {
		a.Log.Warn("broadband: a login could not be decided", "error", err)
	}
}

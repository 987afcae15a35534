package broadband

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
)

// verdict is what a login is to have now.
type verdict struct {
	level   string // out: nothing
	reason  string // why it is out, in the user's words
	profile radius.Profile
}

// class names what a session with the verdict was told: level, address, and a digest of the rest.
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
type told struct{ level, address string }

func toldIn(class string) (t told, ours bool) {
	parts := strings.Split(class, " ")
	if len(parts) != 4 || parts[0] != mark {
		return t, false
	}
	return told{parts[1], parts[2]}, true
}

// errAway says that nothing can be decided on this node now.
var errAway = errors.New("broadband: this node cannot decide now")

// judge says what a login is to have.
func (a *Access) judge(ctx context.Context, u *register.User) (verdict, error) {
	if u.Attributes["enabled"] != "true" {
		return verdict{reason: "This line is suspended"}, nil
	}
	res, nothing, err := a.left(ctx, u.Name)
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
	if nothing && u.Attributes["empty"] == register.Disconnect {
		return verdict{reason: "Nothing is left to use on this line"}, nil
	}
	return a.profile(u, nothing), nil
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
	v.profile.Class = []byte(v.class())
	return v
}

// kilobits reads kbit/s as bit/s; the register has checked it.
func kilobits(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return n * 1000
}

// enough is how much must be left for a login to have its full speed.
const enough = 1 << 20 // octets

// left asks charging whether anything is left to use.
func (a *Access) left(ctx context.Context, user string) (res credit.Result, nothing bool, err error) {
	call := &credit.Call{}
	r := &call.Request
	*r = credit.Request{Face: credit.Direct, Kind: credit.Event, Action: credit.Balance, Service: credit.Broadband, Peer: []byte("access"), Session: []byte(user),
		Subscribers: []credit.Subscriber{{Type: credit.Private, ID: []byte(user)}}}
	u := r.AddUnit()
	u.Want = credit.Units{Has: credit.HasTotal, Total: enough}
	done := make(chan struct{})
	call.Done = func(*credit.Call) { close(done) }
	a.Charger.Charge(call)
	select {
	case <-done:
		return call.Answer.Result, call.Answer.NotEnough, nil
	case <-ctx.Done():
		return 0, false, errAway
	}
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
	if err := x.Accept(&v.profile); err != nil {
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

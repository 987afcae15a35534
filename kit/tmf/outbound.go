package tmf

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"tandem/kit/fault"
)

const maxURL = 2000 // bytes

// Outbound is a client for URLs that users gave us (callbacks, webhooks,
// imports). Unless allowLocal is set it cannot be aimed at this machine or its
// links: the address is checked when the connection is made, whatever name or
// redirect led there. It uses no proxy and follows no redirect.
func Outbound(allowLocal bool, timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: timeout}
	if !allowLocal {
		dialer.Control = refuseLocal
	}
	return &http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{Proxy: nil, DialContext: dialer.DialContext, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func refuseLocal(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if isLocal(ap.Addr()) {
		return errors.New("the address is local to the server, which its configuration forbids")
	}
	return nil
}

// own are the ranges that lead back to this machine besides those that net knows: "this
// network" and the old embedding of IPv4 in IPv6 (RFC 1122 3.2.1.3, RFC 4291 2.5.5.1).
var own = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("::/96")}

func isLocal(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return true
	}
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsMulticast() || a.IsUnspecified()
}

// CheckOutbound refuses a URL that can be seen to be wrong before it is used;
// what names it by its attribute.
func CheckOutbound(what, text string, allowLocal bool) error {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || len(text) > maxURL {
		return fault.BadInput("badURL", "%s must be an http or https URL", what)
	}
	if allowLocal {
		return nil
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if a, err := netip.ParseAddr(host); host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && isLocal(a) {
		return fault.BadInput("addressNotAllowed", "%s may not point to the server's own loopback or link-local addresses", what)
	}
	return nil
}

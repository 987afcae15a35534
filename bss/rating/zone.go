package rating

import "strings"

// trie finds the zone with the longest prefix of a number. Node 0 is the root;
// child 0 stands for none, because nothing leads back to the root.
type trie struct {
	nodes []node
	zones int // zones run from 1
}

type node struct {
	child [10]uint32
	zone  uint16 // of numbers that begin like this; 0: none of its own
	whole uint16 // of exactly this number
}

// add puts a prefix into the trie; it returns a zone that has it already.
func (t *trie) add(prefix string, zone uint16) (taken uint16) {
	digits, whole := strings.CutPrefix(prefix, "=")
	if prefix == "*" {
		digits = ""
	}
	at := uint32(0)
	for i := range len(digits) {
		d := digits[i] - '0'
		next := t.nodes[at].child[d]
		if next == 0 {
			next = uint32(len(t.nodes))
			t.nodes = append(t.nodes, node{})
			t.nodes[at].child[d] = next
		}
		at = next
	}
	slot := &t.nodes[at].zone
	if whole {
		slot = &t.nodes[at].whole
	}
	if *slot != 0 {
		return *slot
	}
	*slot = zone
	return 0
}

// zone of a called party; 0 if it is in none. What is no telephone number, such as
// sip:alice@example.org, is in none, not even in "*".
func (t *trie) zone(called []byte) uint16 {
	digits := number(called)
	if len(digits) == 0 {
		return 0
	}
	n, best := &t.nodes[0], t.nodes[0].zone
	for _, d := range digits {
		if d < '0' || d > '9' { // a visual separator (RFC 3966 5.1.1)
			continue
		}
		next := n.child[d-'0']
		if next == 0 {
			return best
		}
		if n = &t.nodes[next]; n.zone != 0 {
			best = n.zone
		}
	}
	if n.whole != 0 {
		return n.whole
	}
	return best
}

// number is the part of a called party that holds the digits, nothing if it is a
// name. A number is one without +, or the user part of a tel or sip URI.
func number(called []byte) []byte {
	for _, scheme := range [...]string{"tel:", "sip:", "sips:"} {
		if len(called) > len(scheme) && strings.EqualFold(string(called[:len(scheme)]), scheme) {
			called = called[len(scheme):]
			break
		}
	}
	if len(called) > 0 && called[0] == '+' {
		called = called[1:]
	}
	for i, b := range called {
		switch {
		case b >= '0' && b <= '9', b == '-', b == '.', b == '(', b == ')', b == ' ':
		case (b == '@' || b == ';') && i > 0:
			return called[:i]
		default:
			return nil
		}
	}
	return called
}

// networks finds the zone of a visited network: the network itself, else its
// country, else every other one.
type networks struct {
	exact   map[uint32]uint16 // by MCC * 1000 + MNC
	country map[uint32]uint16 // by MCC
	other   uint16
	unknown uint16
}

func (n *networks) zone(plmn uint32) uint16 {
	if plmn == 0 {
		return n.unknown
	}
	if z := n.exact[plmn]; z != 0 {
		return z
	}
	if z := n.country[plmn/1000]; z != 0 {
		return z
	}
	return n.other
}

package core

import (
	"bytes"
	"sync"

	"tandem/edge/credit"
)

// names leads from what a client calls a subscriber to the account. One directory
// serves all shards of the node.
type names struct {
	e164, imsi numbers
	text       texts
}

const stripes = 64

type numbers [stripes]struct {
	sync.RWMutex
	m map[uint64]Ref
}

type texts [stripes]struct {
	sync.RWMutex
	m map[string]Ref
}

func newNames() *names {
	n := &names{}
	for i := range n.e164 {
		n.e164[i].m, n.imsi[i].m, n.text[i].m = map[uint64]Ref{}, map[uint64]Ref{}, map[string]Ref{}
	}
	return n
}

func (n *numbers) get(id uint64) (Ref, bool) {
	s := &n[spread(id)]
	s.RLock()
	r, ok := s.m[id]
	s.RUnlock()
	return r, ok
}

func (n *numbers) set(id uint64, r Ref) {
	if id == 0 {
		return
	}
	s := &n[spread(id)]
	s.Lock()
	s.m[id] = r
	s.Unlock()
}

// take sets a number unless it leads elsewhere.
func (n *numbers) take(id uint64, r Ref) bool {
	if id == 0 {
		return true
	}
	s := &n[spread(id)]
	s.Lock()
	defer s.Unlock()
	if has, ok := s.m[id]; ok && has != r {
		return false
	}
	s.m[id] = r
	return true
}

// drop forgets a number if it still leads there: it may have gone to another.
func (n *numbers) drop(id uint64, r Ref) {
	s := &n[spread(id)]
	s.Lock()
	if s.m[id] == r {
		delete(s.m, id)
	}
	s.Unlock()
}

func spread(id uint64) int { return int(id * 0x9E3779B97F4A7C15 >> 58) }

// textHash is an even hash of a name, the same in every process.
func textHash[T string | []byte](id T) uint64 {
	n := uint64(14695981039346656037)
	for i := range len(id) {
		n = (n ^ uint64(id[i])) * 1099511628211
	}
	return n * 0x9E3779B97F4A7C15
}

func spreadText[T string | []byte](id T) int { return int(textHash(id) >> 58) }

func (n *names) add(s *Subscriber, r Ref) {
	n.e164.set(s.E164, r)
	n.imsi.set(s.IMSI, r)
	if s.Name != "" {
		stripe := &n.text[spreadText(s.Name)]
		stripe.Lock()
		stripe.m[s.Name] = r
		stripe.Unlock()
	}
}

func (n *names) remove(s *Subscriber, r Ref) {
	n.e164.drop(s.E164, r)
	n.imsi.drop(s.IMSI, r)
	if s.Name != "" {
		stripe := &n.text[spreadText(s.Name)]
		stripe.Lock()
		if stripe.m[s.Name] == r {
			delete(stripe.m, s.Name)
		}
		stripe.Unlock()
	}
}

// noneTaken is no type of a name: none was refused.
const noneTaken = credit.Private

// take lets all names of a subscriber lead to an account, or none: which is the type
// of the first that leads to another one.
func (n *names) take(s *Subscriber, r Ref) (which credit.IDType) {
	_, hadE164 := n.e164.get(s.E164)
	if !n.e164.take(s.E164, r) {
		return credit.E164
	}
	_, hadIMSI := n.imsi.get(s.IMSI)
	if !n.imsi.take(s.IMSI, r) {
		if !hadE164 {
			n.e164.drop(s.E164, r)
		}
		return credit.IMSI
	}
	if s.Name == "" || n.text.take(s.Name, r) {
		return noneTaken
	}
	if !hadE164 {
		n.e164.drop(s.E164, r)
	}
	if !hadIMSI {
		n.imsi.drop(s.IMSI, r)
	}
	return credit.NAI
}

func (n *texts) take(name string, r Ref) bool {
	s := &n[spreadText(name)]
	s.Lock()
	defer s.Unlock()
	if has, ok := s.m[name]; ok && has != r {
		return false
	}
	s.m[name] = r
	return true
}

func (n *names) one(id *credit.Subscriber) (r Ref, ok bool) {
	switch id.Type {
	case credit.E164:
		return n.e164.get(digits(id.ID))
	case credit.IMSI:
		return n.imsi.get(digits(id.ID))
	case credit.SIPURI:
		if user := digits(userPart(id.ID)); user != 0 {
			if r, ok = n.e164.get(user); ok {
				return r, true
			}
		}
	}
	stripe := &n.text[spreadText(id.ID)]
	stripe.RLock()
	r, ok = stripe.m[string(id.ID)]
	stripe.RUnlock()
	return r, ok
}

// userPart is what stands before the host of a SIP URI, or the number of a tel URI.
func userPart(uri []byte) []byte {
	for _, scheme := range [...]string{"sip:", "sips:", "tel:"} {
		if rest, ok := bytes.CutPrefix(uri, []byte(scheme)); ok {
			uri = rest
			break
		}
	}
	if i := bytes.IndexAny(uri, "@;"); i >= 0 {
		uri = uri[:i]
	}
	return uri
}

// find is the account that all names of a request lead to; ok is false if one
// leads nowhere or elsewhere (D3).
func (n *names) find(ids []credit.Subscriber) (r Ref, ok bool) {
	for i := range ids {
		to, found := n.one(&ids[i])
		if !found || i > 0 && to != r {
			return 0, false
		}
		r = to
	}
	return r, len(ids) > 0
}

package nchf

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"sync"

	"tandem/edge/credit"
)

// Names of charging sessions. A create that is repeated must find the session of the first one, before it knows its name (TS 32.290
// table 7.1). So the name is not drawn but computed, from what tells one session from all others, under a key that consumers do not
// have: it cannot be guessed, and every node with the key computes the same.
//
//	{node}.{26 characters of MAC}     the node is for whoever routes; the core knows the session by the MAC alone

var refText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// refSize is the length of a name without the node: 128 bits.
const refSize = 26

// maxRef caps what is taken for a name in a path.
const maxRef = 128

type namer struct {
	node string
	macs sync.Pool
}

func newNamer(node string, key []byte) *namer {
	n := &namer{node: node}
	n.macs.New = func() any { return hmac.New(sha256.New, key) }
	return n
}

// name appends the session key of a first request. Consumer, subscriber and charging id tell a session; where an id or a number is
// missing, and for single events, of which one session may have many, instant and content must.
func (n *namer) name(b []byte, r *reading) []byte {
	q := r.q
	m := n.macs.Get().(hash.Hash)
	defer n.macs.Put(m)
	m.Reset()
	var sum [sha256.Size]byte
	in := appendPart(make([]byte, 0, 512), q.Peer)
	for i := range q.Subscribers {
		in = appendPart(append(in, byte(q.Subscribers[i].Type)), q.Subscribers[i].ID)
	}
	in = appendPart(in, q.ChargingID)
	in = appendPart(in, r.start)
	in = binary.BigEndian.AppendUint32(in, r.bearer)
	in = binary.BigEndian.AppendUint32(in, q.Number)
	in = append(in, byte(q.Kind))
	if q.Kind == credit.Event || !q.Numbered || len(q.ChargingID) == 0 {
		in = binary.BigEndian.AppendUint64(in, q.Digest)
	}
	if !q.Numbered || len(q.ChargingID) == 0 {
		in = appendPart(in, r.stamp)
	}
	m.Write(in)
	return refText.AppendEncode(b, m.Sum(sum[:0])[:16])
}

// appendPart appends a part so that no two lists of parts look the same.
func appendPart(b, part []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
}

// ref is the name of a session in URIs.
func (n *namer) ref(b, session []byte) []byte {
	if n.node != "" {
		b = append(append(b, n.node...), '.')
	}
	return append(b, session...)
}

// session takes the node off a name.
func (n *namer) session(ref []byte) []byte {
	if i := len(n.node); i > 0 && len(ref) > i && ref[i] == '.' && string(ref[:i]) == n.node {
		return ref[i+1:]
	}
	if i := len(ref) - refSize - 1; i > 0 && ref[i] == '.' { // of another node, which has the same key
		return ref[i+1:]
	}
	return ref
}

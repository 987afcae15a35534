package radius

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
)

// verdict is what is known of a request.
type verdict uint8

const (
	unseen   verdict = iota // now it is under way
	underWay                // the first copy has not been answered yet
	answered
)

// replies remembers the answers of the last while, so that a repeated request gets the same bytes and is not decided twice (RFC 5080
// 2.2.2). It has two generations: when the young one is old enough or full, it becomes the old one, whose memory is used again. An
// entry lives for one to two lives, unless more requests come than it may hold. Neither generation has pointers to entries, so their
// number costs the garbage collector nothing.
type replies struct {
	mu         sync.Mutex
	seed       maphash.Seed
	young, old generation
	life       int64 // microseconds
	born       int64
	most       int // entries of a generation
	early      uint64
}

// generation is an index from the hash of source address, port, identifier and authenticator to a record in bytes: the hash of the
// whole request (8), the length of the reply (2), the reply.
type generation struct {
	index map[uint64]uint32
	bytes []byte
}

const recordHead = 10

// replyKey names a request: by where and what it says it is, and by all of its content.
type replyKey struct{ name, content uint64 }

func newReplies(life int64, most int) *replies {
	r := &replies{seed: maphash.MakeSeed(), life: life, most: most}
	r.young.index, r.old.index = map[uint64]uint32{}, map[uint64]uint32{}
	return r
}

func (r *replies) key(from netip.AddrPort, p Packet) replyKey {
	var b [16 + 2 + 2 + 16]byte
	a := from.Addr().As16()
	copy(b[:], a[:])
	binary.BigEndian.PutUint16(b[16:], from.Port())
	b[18], b[19] = byte(p.Code()), p.ID()
	copy(b[20:], p.Authenticator())
	return replyKey{maphash.Bytes(r.seed, b[:]), maphash.Bytes(r.seed, p)}
}

// begin notes a request as under way, or finds that it was seen before; then the reply is appended to b if there is one.
func (r *replies) begin(k replyKey, now int64, b []byte) ([]byte, verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.age(now)
	reply, found := r.young.find(k)
	if !found {
		reply, found = r.old.find(k)
	}
	switch {
	case !found:
		r.young.put(k, nil)
		return b, unseen
	case len(reply) == 0:
		return b, underWay
	}
	return append(b, reply...), answered
}

// finish keeps the reply of a request that begin has noted.
func (r *replies) finish(k replyKey, reply []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.young.put(k, reply)
}

// forget makes a request unseen again: it was not answered, and its retry is to be decided.
func (r *replies) forget(k replyKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young.index, k.name)
	delete(r.old.index, k.name)
}

func (r *replies) age(now int64) {
	full := len(r.young.index) >= r.most || len(r.young.bytes) >= r.most*128
	if !full && now-r.born < r.life {
		return
	}
	if full && now-r.born < r.life {
		r.early++
	}
	r.young, r.old = r.old, r.young
	clear(r.young.index)
	r.young.bytes = r.young.bytes[:0]
	r.born = now
}

func (g *generation) find(k replyKey) (reply []byte, ok bool) {
	at, ok := g.index[k.name]
	if !ok {
		return nil, false
	}
	record := g.bytes[at:]
	if binary.LittleEndian.Uint64(record) != k.content {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint16(record[8:]))
	return record[recordHead : recordHead+n], true
}

func (g *generation) put(k replyKey, reply []byte) {
	g.index[k.name] = uint32(len(g.bytes))
	g.bytes = binary.LittleEndian.AppendUint64(g.bytes, k.content)
	g.bytes = binary.LittleEndian.AppendUint16(g.bytes, uint16(len(reply)))
	g.bytes = append(g.bytes, reply...)
}

package radius

import (
	"net"
	"sync"
	"time"
)

// Gateway is the gateway's side of CoA and Disconnect (RFC 5176): for the laboratory network and the tests.
type Gateway struct {
	conn    *net.UDPConn
	secret  *Secret
	obey    func(Packet) (bool, ErrorCause)
	replies *replies
	signer  *signer
	reading sync.WaitGroup
}

// ListenGateway answers on an address. obey carries out a CoA-Request or Disconnect-Request and tells whether it did, and the cause
// to be told, if any; a repeated request gets the first answer and is not carried out again.
func ListenGateway(address string, secret []byte, obey func(Packet) (bool, ErrorCause)) (*Gateway, error) {
	conns, err := listen(address, 1)
	if err != nil {
		return nil, err
	}
	g := &Gateway{conn: conns[0], secret: NewSecret(secret), obey: obey, signer: newSigner(), replies: newReplies(replyLife.Microseconds(), 1<<14)}
	g.reading.Go(g.read)
	return g, nil
}

// Addr is where it listens.
func (g *Gateway) Addr() string { return g.conn.LocalAddr().String() }

// Close waits for the reader.
func (g *Gateway) Close() error {
	err := g.conn.Close()
	g.reading.Wait()
	return err
}

func (g *Gateway) read() {
	buf := make([]byte, MaxPacket)
	for {
		n, from, err := g.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if !passing(err) {
				return
			}
			continue
		}
		p, err := Parse(buf[:n])
		if err != nil || p.Code() != CoARequest && p.Code() != DisconnectRequest {
			continue
		}
		right, signed := g.signer.provenRequest(p, g.secret)
		if !right {
			continue
		}
		key := g.replies.key(from, p)
		reply, known := g.replies.begin(key, time.Now().UnixMicro(), nil)
		if known == unseen {
			reply = g.answer(p, signed)
			g.replies.finish(key, reply)
		}
		g.conn.WriteToUDPAddrPort(reply, from)
	}
}

func (g *Gateway) answer(p Packet, signed bool) []byte {
	done, cause := g.obey(p)
	code := p.Code() + 1 // ACK
	if !done {
		code++ // NAK
	}
	b := AppendHead(nil, code, p.ID())
	if signed {
		b = appendMAC(b)
	}
	for t, v := range p.All() {
		if t == ProxyState {
			b = AppendBytes(b, t, v)
		}
	}
	if cause != 0 {
		b = AppendUint(b, ErrorCauseType, uint32(cause))
	}
	g.signer.sealReply(b, p.Authenticator(), g.secret)
	return b
}

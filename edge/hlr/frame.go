package hlr

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Protocol octets of the IPA multiplex (second field of a frame).
const (
	ProtoIPA   = 0xfe // link control: 0 ping, 1 pong
	ProtoOsmo  = 0xee // extended protocols, told apart by the first octet of the body
	ExtCTRL    = 0x00 // control interface, the extension of this package
	frameHead  = 3    // length (2 octets, big-endian, counts the body), protocol
	MaxCommand = 1024 // octets of command text: osmo-hlr 1.5.0 aborts when a whole frame reaches 1200
)

// Frame is one unit of the IPA multiplex. Body is valid until the next read from the same reader.
type Frame struct {
	Proto byte
	Body  []byte
}

// Text returns the command or reply text of a CTRL frame; ok is false for every other frame.
func (f Frame) Text() (text string, ok bool) {
	if f.Proto != ProtoOsmo || len(f.Body) == 0 || f.Body[0] != ExtCTRL {
		return "", false
	}
	return string(f.Body[1:]), true
}

// AppendFrame appends text as a CTRL frame. The text must be shorter than 65535 octets.
func AppendFrame(b []byte, text string) []byte {
	if len(text) > 0xfffe {
		panic("hlr: text does not fit a frame")
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)+1))
	b = append(b, ProtoOsmo, ExtCTRL)
	return append(b, text...)
}

// ReadFrame reads one frame whose body has at most limit octets. io.EOF means that the peer closed between frames.
func ReadFrame(r *bufio.Reader, limit int) (Frame, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Frame{}, err
	}
	n := int(binary.BigEndian.Uint16(head[:2]))
	if n > limit {
		return Frame{}, fmt.Errorf("frame body of %d octets, at most %d are accepted", n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return Frame{Proto: head[2], Body: body}, nil
}

// FrameBuffered tells whether a whole frame waits in r, so that the next ReadFrame does not touch the network.
func FrameBuffered(r *bufio.Reader) bool {
	if r.Buffered() < frameHead {
		return false
	}
	head, _ := r.Peek(2)
	return r.Buffered() >= frameHead+int(binary.BigEndian.Uint16(head))
}

// answer is a decoded reply text.
type answer struct {
	verb, id string // SET_REPLY, GET_REPLY, ERROR or TRAP; the id is "err" when the element could not read ours
	variable string // empty for ERROR
	value    string // of an ERROR: its text
}

// parseAnswer decodes "SET_REPLY id var value", "GET_REPLY id var value", "TRAP id var value" and "ERROR id text".
// A GET_REPLY value may be empty and may span lines.
func parseAnswer(text string) (answer, error) {
	verb, rest, ok := strings.Cut(text, " ")
	if !ok {
		return answer{}, fmt.Errorf("reply without an id")
	}
	id, rest, _ := strings.Cut(rest, " ")
	if id == "" {
		return answer{}, fmt.Errorf("reply without an id")
	}
	switch verb {
	case "ERROR":
		return answer{verb: verb, id: id, value: rest}, nil
	case "SET_REPLY", "GET_REPLY", "TRAP":
		variable, value, _ := strings.Cut(rest, " ")
		if variable == "" {
			return answer{}, fmt.Errorf("%s without a variable", verb)
		}
		return answer{verb: verb, id: id, variable: variable, value: value}, nil
	}
	return answer{}, fmt.Errorf("reply of an unknown kind")
}

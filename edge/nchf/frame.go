package nchf

import (
	"encoding/binary"
	"fmt"
)

// Frames of HTTP/2 (RFC 9113 4.1, 6).
const (
	frameData         = 0
	frameHeaders      = 1
	framePriority     = 2
	frameReset        = 3
	frameSettings     = 4
	framePush         = 5
	framePing         = 6
	frameGoAway       = 7
	frameWindow       = 8
	frameContinuation = 9

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	headSize  = 9
	frameSize = 16384 // the largest frame of either side: SETTINGS_MAX_FRAME_SIZE as it is without a setting
	preface   = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	maxWindow = 1<<31 - 1
	oldWindow = 65535 // of a connection and, without a setting, of a stream (RFC 9113 6.9.2)
)

// Error codes (RFC 9113 7).
const (
	noError           = 0x0
	protocolError     = 0x1
	flowControlError  = 0x3
	frameSizeError    = 0x6
	refusedStream     = 0x7
	cancelled         = 0x8
	compressionError  = 0x9
	enhanceYourCalm   = 0xb
	settingTable      = 0x1
	settingPush       = 0x2
	settingStreams    = 0x3
	settingWindow     = 0x4
	settingFrame      = 0x5
	settingHeaderList = 0x6
)

// connError ends a connection: GOAWAY with the code.
type connError struct {
	code   uint32
	reason string
}

func (e *connError) Error() string { return fmt.Sprintf("HTTP/2 error %d: %s", e.code, e.reason) }

func broken(code uint32, reason string) error { return &connError{code, reason} }

// frame is a frame that has been read; body lies in the buffer of the reader.
type frame struct {
	kind, flags byte
	stream      uint32
	body        []byte
}

func appendHead(b []byte, length int, kind, flags byte, stream uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(b, stream)
}

// setLength completes the head that begins at at.
func setLength(b []byte, at int) []byte {
	n := len(b) - at - headSize
	b[at], b[at+1], b[at+2] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

func appendReset(b []byte, stream, code uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHead(b, 4, frameReset, 0, stream), code)
}

func appendWindow(b []byte, stream, more uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHead(b, 4, frameWindow, 0, stream), more)
}

func appendGoAway(b []byte, last, code uint32, reason string) []byte {
	b = appendHead(b, 8+len(reason), frameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, code)
	return append(b, reason...)
}

func appendSetting(b []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), value)
}

// unpad takes padding and, of HEADERS, the priority off the body of a frame (RFC 9113 6.1, 6.2).
func (f *frame) unpad() error {
	pad := 0
	if f.flags&flagPadded != 0 {
		if len(f.body) == 0 {
			return broken(frameSizeError, "the length of the padding is missing")
		}
		pad, f.body = int(f.body[0]), f.body[1:]
	}
	if f.kind == frameHeaders && f.flags&flagPriority != 0 {
		if len(f.body) < 5 {
			return broken(frameSizeError, "the priority is missing")
		}
		if binary.BigEndian.Uint32(f.body)&maxWindow == f.stream {
			return broken(protocolError, "a stream depends on itself")
		}
		f.body = f.body[5:]
	}
	if pad > len(f.body) {
		return broken(protocolError, "more padding than frame")
	}
	f.body = f.body[:len(f.body)-pad]
	return nil
}

// settings are those of a peer that matter to a sender.
type settings struct {
	window  int64 // initial window of a stream
	frame   int
	streams uint32
	shrink  bool // the peer wants a smaller table than 4096: the next header block must say that it is empty
}

func standardSettings() settings {
	return settings{window: oldWindow, frame: frameSize, streams: maxWindow}
}

// read obeys a SETTINGS frame (RFC 9113 6.5); grown is by how much the windows of the open streams change.
func (s *settings) read(body []byte) (grown int64, err error) {
	if len(body)%6 != 0 {
		return 0, broken(frameSizeError, "SETTINGS of a broken length")
	}
	for ; len(body) > 0; body = body[6:] {
		v := binary.BigEndian.Uint32(body[2:])
		switch binary.BigEndian.Uint16(body) {
		case settingTable:
			s.shrink = s.shrink || v < tableSize
		case settingPush:
			if v > 1 {
				return 0, broken(protocolError, "ENABLE_PUSH is neither 0 nor 1")
			}
		case settingStreams:
			s.streams = v
		case settingWindow:
			if v > maxWindow {
				return 0, broken(flowControlError, "the initial window is too large")
			}
			grown += int64(v) - s.window
			s.window = int64(v)
		case settingFrame:
			if v < frameSize || v > 1<<24-1 {
				return 0, broken(protocolError, "MAX_FRAME_SIZE out of range")
			}
			s.frame = frameSize // larger ones are not needed
		}
	}
	return grown, nil
}

// window reads a WINDOW_UPDATE.
func (f *frame) window() (int64, error) {
	if len(f.body) != 4 {
		return 0, broken(frameSizeError, "WINDOW_UPDATE of a broken length")
	}
	return int64(binary.BigEndian.Uint32(f.body) & maxWindow), nil
}

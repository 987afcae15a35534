package hlr

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
)

// Verb says what a command does.
type Verb string

// The two verbs of the control interface.
const (
	Get Verb = "GET"
	Set Verb = "SET"
)

// Command is one request: a variable to read or to write. It prints without its value when that may be a key.
type Command struct {
	Verb  Verb
	Var   string
	Value string // of a Set
}

// Reply is what came back for one Command. Exactly one of Value and Err is meaningful.
type Reply struct {
	Value  string
	Err    error
	secret bool
}

const redacted = "[redacted]"

// Format prints the reply for every verb of fmt; keys never appear.
func (r Reply) Format(s fmt.State, _ rune) { io.WriteString(s, r.String()) }

// LogValue keeps keys out of logs.
func (r Reply) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText keeps keys out of JSON.
func (r Reply) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String gives the value, or the error.
func (r Reply) String() string {
	switch {
	case r.Err != nil:
		return r.Err.Error()
	case r.secret:
		return redacted
	}
	return r.Value
}

// Format prints the command for every verb of fmt; keys never appear.
func (c Command) Format(s fmt.State, _ rune) { io.WriteString(s, c.String()) }

// LogValue keeps keys out of logs.
func (c Command) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText keeps keys out of JSON.
func (c Command) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// String gives verb, variable and value, without the keys.
func (c Command) String() string {
	switch {
	case c.Verb != Set:
		return c.name()
	case c.secret():
		return c.name() + " " + redacted
	}
	return c.name() + " " + c.Value
}

func (c Command) name() string { return string(c.Verb) + " " + c.Var }

// secret tells whether the value, or the reply to a Get, holds authentication keys.
func (c Command) secret() bool {
	for _, suffix := range []string{".aud3g", ".aud2g", ".info-aud", ".info-all"} {
		if strings.HasSuffix(c.Var, suffix) {
			return true
		}
	}
	return false
}

// check refuses what cannot be sent as exactly one command: an IMSI that contains a line break must not become two.
func (c Command) check() error {
	switch {
	case c.Verb != Get && c.Verb != Set:
		return c.invalid("the verb is neither GET nor SET")
	case c.Var == "" || strings.Trim(c.Var, variableChars) != "":
		return c.invalid("the variable has characters other than letters, digits, . - and _")
	case c.Verb == Get && c.Value != "":
		return c.invalid("a GET has no value")
	case c.Verb == Set && c.Value == "":
		return c.invalid("a SET needs a value")
	case len(c.Var)+len(c.Value)+16 > MaxCommand:
		return c.invalid("the command is too long")
	}
	for i := range len(c.Value) {
		if c.Value[i] < 0x20 || c.Value[i] > 0x7e {
			return c.invalid("the value has characters other than printable ASCII")
		}
	}
	return nil
}

const variableChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

func (c Command) invalid(why string) error {
	name := c
	if c.Var == "" || strings.Trim(c.Var, variableChars) != "" {
		name.Var = strconv.Quote(c.Var)
	}
	return &Error{Kind: InvalidValue, Command: name.name(), Text: why}
}

func (c Command) appendFrame(b []byte, id uint32) []byte {
	text := string(c.Verb) + " " + strconv.FormatUint(uint64(id), 10) + " " + c.Var
	if c.Verb == Set {
		text += " " + c.Value
	}
	return AppendFrame(b, text)
}

// Secret is a 128-bit key (K or OPc). It prints as [redacted] everywhere; only Hex reveals it.
type Secret [16]byte

// ParseSecret reads 32 hexadecimal digits. The error does not repeat them.
func ParseSecret(s string) (Secret, error) {
	var k Secret
	if len(s) != 32 {
		return Secret{}, fmt.Errorf("a key has 32 hexadecimal digits, this one has %d characters", len(s))
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return Secret{}, fmt.Errorf("a key has 32 hexadecimal digits, this one has other characters")
	}
	return k, nil
}

// Hex gives the 32 digits in lower case, for the wire only.
func (k Secret) Hex() string { return hex.EncodeToString(k[:]) }

// Equal compares in constant time.
func (k Secret) Equal(other Secret) bool { return subtle.ConstantTimeCompare(k[:], other[:]) == 1 }

// Format prints [redacted] for every verb of fmt.
func (k Secret) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue keeps the key out of logs.
func (k Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the key out of JSON.
func (k Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// The commands that provision a SIM, for use with Client.Do. Bad digits are refused by the element or by Do.

// CreateCommand creates a subscriber; the reply is the element's own id. Both domains are enabled at first.
func CreateCommand(imsi string) Command { return Command{Set, "subscriber.create", imsi} }

// DeleteCommand deletes a subscriber with its keys.
func DeleteCommand(imsi string) Command { return Command{Set, "subscriber.delete", imsi} }

// MSISDNCommand gives the subscriber its number (1 to 15 digits, no plus sign); an empty one takes it away.
func MSISDNCommand(imsi, msisdn string) Command {
	if msisdn == "" {
		msisdn = "none"
	}
	return Command{Set, byIMSI(imsi, "msisdn"), msisdn}
}

// MilenageCommand sets the keys of 3GPP TS 35.206 and puts the sequence number back to 0.
func MilenageCommand(imsi string, k, opc Secret) Command {
	return Command{Set, byIMSI(imsi, "aud3g"), "milenage," + k.Hex() + ",OPC," + opc.Hex()}
}

// PSCommand permits or bars packet service.
func PSCommand(imsi string, enabled bool) Command {
	return Command{Set, byIMSI(imsi, "ps-enabled"), bit(enabled)}
}

// CSCommand permits or bars circuit service.
func CSCommand(imsi string, enabled bool) Command {
	return Command{Set, byIMSI(imsi, "cs-enabled"), bit(enabled)}
}

// InfoCommand reads the subscriber without its keys; ParseInfo decodes the reply.
func InfoCommand(imsi string) Command { return Command{Get, byIMSI(imsi, "info"), ""} }

// InfoByMSISDNCommand reads the holder of a number; ParseInfo decodes the reply.
func InfoByMSISDNCommand(msisdn string) Command {
	return Command{Get, "subscriber.by-msisdn-" + msisdn + ".info", ""}
}

// AuthCommand reads the keys; ParseAuth decodes the reply.
func AuthCommand(imsi string) Command { return Command{Get, byIMSI(imsi, "info-aud"), ""} }

func byIMSI(imsi, variable string) string { return "subscriber.by-imsi-" + imsi + "." + variable }

func bit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

package driver

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a key or password. It prints as [redacted] by every way of printing, also from inside a structure; only Reveal shows it.
type Secret struct {
	text *string // a pointer: fmt follows none below the top, so a Secret in an unexported field does not show either
}

const redacted = "[redacted]"

// NewSecret wraps a secret text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal gives the text, for the wire only; empty if there is none.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Equal compares in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String gives [redacted].
func (s Secret) String() string { return redacted }

// GoString gives [redacted].
func (s Secret) GoString() string { return redacted }

// Format prints [redacted] for every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue keeps the secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret out of JSON. There is no way back: what must keep a secret keeps it sealed.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

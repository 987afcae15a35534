package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"tandem/kit/fault"
)

// cost is what a password hash costs. The present one is OWASP's recommendation
// for argon2id; hashes with another are renewed at the next login.
type cost struct {
	memory uint32 // KiB
	time   uint32
	lanes  uint8
}

var present = cost{memory: 19 * 1024, time: 2, lanes: 1}

const (
	saltSize      = 16
	digestSize    = 32
	hashesAtATime = 2 // each takes 19 MiB; a flood of logins must not take them all
	passwordMin   = 10
	passwordMax   = 256
)

// hasher makes and checks password hashes, few at a time.
type hasher struct {
	slots chan struct{}
	none  string       // hash of no password, for users that do not exist
	done  atomic.Int64 // hashes computed
}

func newHasher() (*hasher, error) {
	unknown := make([]byte, saltSize+digestSize)
	if _, err := rand.Read(unknown); err != nil {
		return nil, err
	}
	return &hasher{slots: make(chan struct{}, hashesAtATime), none: format(present, unknown[:saltSize], unknown[saltSize:])}, nil
}

func (h *hasher) derive(ctx context.Context, password string, salt []byte, c cost) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	h.done.Add(1)
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.lanes, digestSize), nil
}

// hash makes the text that is kept.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	digest, err := h.derive(ctx, password, salt, present)
	return format(present, salt, digest), err
}

// format is the PHC text form: $argon2id$v=19$m=..,t=..,p=..$salt$digest.
func format(c cost, salt, digest []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.lanes,
		b64.EncodeToString(salt), b64.EncodeToString(digest))
}

// check compares in constant time. An empty hash (no such user) costs the same
// and never matches. stale says that the hash should be renewed.
func (h *hasher) check(ctx context.Context, hash, password string) (ok, stale bool, err error) {
	known := hash != ""
	if !known {
		hash = h.none
	}
	c, salt, want, err := parseHash(hash)
	if err != nil {
		return false, false, err
	}
	got, err := h.derive(ctx, password, salt, c)
	if err != nil {
		return false, false, err
	}
	same := subtle.ConstantTimeCompare(got, want) == 1
	return same && known, c != present, nil
}

func parseHash(text string) (c cost, salt, digest []byte, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errors.New("access: a stored password hash is of an unknown kind")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.lanes); err != nil || c.time == 0 || c.lanes == 0 || c.memory > 1<<20 {
		return c, nil, nil, errors.New("access: a stored password hash has unreadable parameters")
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return c, nil, nil, errors.New("access: a stored password hash has an unreadable salt")
	}
	digest, err = base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(digest) != digestSize {
		return c, nil, nil, errors.New("access: a stored password hash has an unreadable digest")
	}
	return c, salt, digest, nil
}

// acceptable refuses passwords that are too easy to guess or absurdly long.
func acceptable(password, user string) error {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return fault.BadInput("badPassword", "The password is not valid text")
	case n < passwordMin:
		return fault.BadInput("badPassword", "The password needs at least %d characters", passwordMin)
	case len(password) > passwordMax:
		return fault.BadInput("badPassword", "The password has more than %d octets", passwordMax)
	case strings.Contains(strings.ToLower(password), strings.ToLower(user)) && len(user) > 3:
		return fault.BadInput("badPassword", "The password contains the user's name")
	}
	return nil
}

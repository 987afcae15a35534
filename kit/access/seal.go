package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	keySize    = 32 // AES-256
	sealFormat = 1  // first octet of what Seal makes: a later format can be told apart
)

// Sealer encrypts small secrets, such as SIM keys, with AES-256-GCM.
type Sealer struct{ aead cipher.AEAD }

// NewSealer takes a key of 32 octets.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("access: the sealing key has %d octets, not %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

// Seal encrypts plain for one place, named by context (tenant and id of what it
// belongs to): Open with another context fails, so a sealed secret that is
// copied to another row is worth nothing.
func (s *Sealer) Seal(plain []byte, context string) ([]byte, error) {
	return s.aead.Seal([]byte{sealFormat}, nil, plain, []byte(context)), nil
}

// Open is the inverse of Seal. Its error says nothing of the secret.
func (s *Sealer) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealFormat {
		return nil, errors.New("access: not a sealed secret")
	}
	plain, err := s.aead.Open(nil, nil, sealed[1:], []byte(context))
	if err != nil {
		return nil, errors.New("access: the sealed secret does not open: another key, another place, or damaged")
	}
	return plain, nil
}

// LoadKey reads the sealing key from a file (64 hexadecimal digits), which it
// makes, readable by its owner only, if it is not there. Whoever loses the file
// loses the secrets: it belongs into the backup, but not beside the data.
func LoadKey(path string) ([]byte, error) {
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := makeKey(path); err != nil {
		return nil, fmt.Errorf("access: make the sealing key: %w", err)
	}
	return readKey(path)
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("access: others may read the sealing key %s; run chmod 600 on it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("access: %s is not a sealing key (64 hexadecimal digits)", path)
	}
	return key, nil
}

// makeKey writes a whole file aside and links it into place, so that a crash
// leaves no half key and two processes agree on one.
func makeKey(path string) error {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

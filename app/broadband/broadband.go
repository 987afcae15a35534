package broadband

import (
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"time"

	"tandem/app/mobile"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation/driver"
	"tandem/oss/inventory"
)

// Ids of what Install makes.
const (
	LoginPool   = "login"
	AddressPool = "ipv4"
	Element     = "aaa"  // the access server
	DHCP        = "dhcp" // the DHCP server, for lines that ask for it
	Flat100     = "broadband-100"
	Flat250     = "broadband-250"
	Prepaid     = "broadband-prepaid"
)

// Roles of the resources that are numbers from pools.
const (
	loginKind   = "login"
	addressKind = "ipv4"
)

// rest is how long a login or address that was in use is given to nobody: what others still know it by must not reach a stranger.
const rest = 90 * 24 * time.Hour

//go:embed network.json
var network []byte

//go:embed catalogue.json
var catalogue []byte

// Install puts specifications, catalogue and empty pools into the tenant.
func Install(tx *store.Tx) error {
	for _, p := range []inventory.Pool{
		{ID: LoginPool, Kind: loginKind, Name: "Logins", Quarantine: rest}, {ID: AddressPool, Kind: addressKind, Name: "Addresses", Quarantine: rest}} {
		if err := inventory.NewPool(tx, p); err != nil {
			return err
		}
	}
	return mobile.Documents(tx, network, catalogue)
}

// Kinds are those of which Install makes resources.
func Kinds() []tmf.Mounted { return mobile.Kinds() }

// Passwords makes the password of a login out of its name, who has it and a key: every node and every run makes the same one, only the
// access server keeps it, sealed, and who gets a login that was another's gets another password.
func Passwords(key []byte) func(login, holder string) (map[string]driver.Secret, error) {
	return func(login, holder string) (map[string]driver.Secret, error) {
		return map[string]driver.Secret{"password": driver.NewSecret(password(key, login, holder))}, nil
	}
}

// password has 80 bits, in letters and digits that are not mistaken for each other.
func password(key []byte, login, holder string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(login + " " + holder)) // a login has no blank
	return base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").EncodeToString(m.Sum(nil)[:10])
}

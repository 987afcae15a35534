package diameter

// The digest is FNV-like, over 8 octets at a time. It is meant for honest clients: equal numbers with other content are a defect of
// theirs, not an attack.
const (
	digestSeed  = 14695981039346656037
	digestPrime = 1099511628211
)

func mix(h, v uint64) uint64 {
	h = (h ^ v) * digestPrime
	return h ^ h>>29
}

// mixAVP adds code, vendor and content; flags and padding may be changed by an agent.
func mixAVP(h uint64, a *avp) uint64 {
	h = mix(h, uint64(a.key)^uint64(len(a.data))<<56)
	b := a.data
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h, uint64(b[0])|uint64(b[1])<<8|uint64(b[2])<<16|uint64(b[3])<<24|
			uint64(b[4])<<32|uint64(b[5])<<40|uint64(b[6])<<48|uint64(b[7])<<56)
	}
	var rest uint64
	for i, v := range b {
		rest |= uint64(v) << (8 * i)
	}
	return mix(h, rest)
}

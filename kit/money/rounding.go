package money

import "fmt"

// Rounding names what happens to digits that do not fit. The zero Rounding is no
// mode and is refused: a rounding that nobody chose is a bug.
type Rounding uint8

// The modes. "Half" modes go to the nearest value and differ only in a tie.
// HalfUp, HalfDown, Up and Down are symmetric: a credit rounds like its debit.
const (
	HalfUp   Rounding = iota + 1 // tie away from zero: 2.5 -> 3, -2.5 -> -3 (commercial)
	HalfEven                     // tie to the even neighbour: 2.5 -> 2, 3.5 -> 4 (banker's)
	HalfDown                     // tie toward zero: 2.5 -> 2
	Up                           // away from zero: 2.1 -> 3, -2.1 -> -3
	Down                         // toward zero: 2.9 -> 2, -2.9 -> -2 (cut off)
	Ceiling                      // toward plus infinity: 2.1 -> 3, -2.9 -> -2
	Floor                        // toward minus infinity: 2.9 -> 2, -2.1 -> -3
)

var roundingNames = [...]string{
	HalfUp: "half-up", HalfEven: "half-even", HalfDown: "half-down",
	Up: "up", Down: "down", Ceiling: "ceiling", Floor: "floor",
}

// ParseRounding reads the name used in configuration and catalogue, such as "half-up".
func ParseRounding(name string) (Rounding, error) {
	for r := HalfUp; r <= Floor; r++ {
		if roundingNames[r] == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%w: %.20q", ErrRounding, name)
}

// String is the name, such as "half-up".
func (r Rounding) String() string {
	if !r.valid() {
		return fmt.Sprintf("rounding(%d)", uint8(r))
	}
	return roundingNames[r]
}

// MarshalText writes the name.
func (r Rounding) MarshalText() ([]byte, error) {
	if !r.valid() {
		return nil, fmt.Errorf("%w: %d", ErrRounding, uint8(r))
	}
	return []byte(roundingNames[r]), nil
}

// UnmarshalText reads the name.
func (r *Rounding) UnmarshalText(text []byte) error {
	parsed, err := ParseRounding(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

func (r Rounding) valid() bool { return r >= HalfUp && r <= Floor }

// residue says where a cut-off remainder lies between two neighbours.
type residue uint8

const (
	exact residue = iota
	belowHalf
	atHalf
	aboveHalf
)

// residueOf places remainder rem of a division by d; sticky is true when nonzero
// digits below rem were already cut off.
func residueOf(rem, d uint64, sticky bool) residue {
	switch {
	case rem == 0 && !sticky:
		return exact
	case rem > d-rem, rem == d-rem && sticky:
		return aboveHalf
	case rem == d-rem:
		return atHalf
	}
	return belowHalf
}

// away tells whether the magnitude q grows by one, given its sign and residue.
func (r Rounding) away(negative, odd bool, at residue) bool {
	if at == exact {
		return false
	}
	switch r {
	case HalfUp:
		return at >= atHalf
	case HalfEven:
		return at == aboveHalf || at == atHalf && odd
	case HalfDown:
		return at == aboveHalf
	case Up:
		return true
	case Ceiling:
		return !negative
	case Floor:
		return negative
	}
	return false // Down
}

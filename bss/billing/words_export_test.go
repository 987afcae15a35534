package billing

import (
	"fmt"
	"regexp"
	"slices"
)

// WordsMissing says what a language lacks of what another one has.
func WordsMissing() (out []string) {
	gap := regexp.MustCompile(`%[a-z0-9:]+|%%`)
	for language, list := range words {
		for other, others := range words {
			for key, text := range others {
				mine, ok := list[key]
				if !ok {
					out = append(out, fmt.Sprintf("%s has no %s, which %s has", language, key, other))
					continue
				}
				a, b := gap.FindAllString(mine, -1), gap.FindAllString(text, -1)
				if !slices.Equal(a, b) {
					out = append(out, fmt.Sprintf("%s of %s and %s have other gaps: %v, %v", key, language, other, a, b))
				}
			}
		}
	}
	return out
}

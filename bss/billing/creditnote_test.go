package billing_test

import (
	"testing"

	"tandem/bss/billing"
)

// What is credited of a price with tax is given back to the cent, whatever the cent.
func TestACreditOfAGrossPriceIsExact(t *testing.T) {
	for cents := int64(1); cents <= 300; cents++ {
		net, tax := billing.CreditOf(cents, 19)
		if net+tax != cents {
			t.Errorf("a credit of %d gives back %d + %d", cents, net, tax)
		}
		if exact := cents * 1900 / 119; tax*100 < exact-51 || tax*100 > exact+51 {
			t.Errorf("the tax of %d is %d", cents, tax)
		}
	}
}

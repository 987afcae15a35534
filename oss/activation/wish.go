package activation

import (
	"maps"
	"slices"
	"strings"

	"tandem/kit/fault"
	"tandem/kit/tmf"
	"tandem/oss/activation/driver"
)

// wish is what a service's characteristics say.
type wish struct {
	element, typ, key string
	attributes        map[string]string
}

// wishOf reads the characteristics. A service without an element is on none.
func wishOf(s *Service) (w wish, err error) {
	w = wish{typ: s.ServiceType, attributes: map[string]string{}}
	w.element, _ = tmf.Value(s.ServiceCharacteristic, "element")
	if w.element == "" {
		return w, nil
	}
	typ, known := driver.Types[w.typ]
	if !known {
		return w, fault.BadInput("unknownServiceType", "serviceType says what is made on the element: %s", strings.Join(slices.Sorted(maps.Keys(driver.Types)), ", "))
	}
	w.key, _ = tmf.Value(s.ServiceCharacteristic, "key")
	if w.key == "" {
		return w, fault.BadInput("keyMissing", "The characteristic key is missing: the %s by which the element knows a %s", typ.Key, w.typ)
	}
	for _, c := range s.ServiceCharacteristic {
		switch {
		case c.Name == "element" || c.Name == "key" || typ.HasSecret(c.Name):
		case typ.HasAttribute(c.Name):
			w.attributes[c.Name], _ = tmf.Value([]tmf.Characteristic{c}, c.Name)
		default:
			return w, fault.BadInput("unknownCharacteristic", "A %s has no characteristic %q; it has element, key, %s", w.typ, c.Name,
				strings.Join(append(slices.Clone(typ.Attributes), typ.Secrets...), ", "))
		}
	}
	return w, nil
}

// takeSecrets takes the secrets out of the characteristics, so that they are never stored in the clear.
func takeSecrets(s *Service, typ string) map[string]string {
	secrets := map[string]string{}
	s.ServiceCharacteristic = slices.DeleteFunc(s.ServiceCharacteristic, func(c tmf.Characteristic) bool {
		if !driver.Types[typ].HasSecret(c.Name) {
			return false
		}
		secrets[c.Name], _ = tmf.Value([]tmf.Characteristic{c}, c.Name)
		return true
	})
	return secrets
}

// desired is the wish as a driver takes it.
func (w wish) desired(state string, secrets map[string]string) driver.Desired {
	typ := driver.Types[w.typ]
	d := driver.Desired{Type: w.typ, Key: w.key, Absent: !runs(state), Attributes: map[string]string{}}
	if d.Absent {
		return d
	}
	maps.Copy(d.Attributes, typ.InService)
	maps.Copy(d.Attributes, w.attributes)
	if state == stateInactive {
		maps.Copy(d.Attributes, typ.Suspended)
	}
	for name, text := range secrets {
		if d.Secrets == nil {
			d.Secrets = map[string]driver.Secret{}
		}
		d.Secrets[name] = driver.NewSecret(text)
	}
	return d
}

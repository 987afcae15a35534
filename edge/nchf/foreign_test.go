package nchf

import (
	"os/exec"
	"strings"
	"testing"
)

// TestForeign runs the tests of test/nchf: the client of free5GC walks a session, and 3GPP's files judge the bodies if NCHF_SPECS names
// their folder. They are a module of their own, which has to be downloaded once.
func TestForeign(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the foreign clients are compiled first")
	}
	cmd := exec.Command("go", "test", "-count=1", "./...")
	cmd.Dir = "../../test/nchf"
	out, err := cmd.CombinedOutput()
	if err == nil {
		return
	}
	for _, cause := range []string{"dial tcp", "no such host", "module lookup disabled"} {
		if strings.Contains(string(out), cause) {
			t.Skipf("the modules of the foreign clients cannot be had: %s", out)
		}
	}
	t.Errorf("%v\n%s", err, out)
}

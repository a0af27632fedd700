//go:build race

package reconciler

// UnderRace is set where the race detector multiplies all times. The largest matrices are sampled there, and gone through
// as a whole without it: see the Makefile.
const UnderRace = true

// stride is from one fault, or one position, of a matrix to the next.
const stride = 4

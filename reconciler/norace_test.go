//go:build !race

package reconciler

// UnderRace is set where the race detector multiplies all times.
const UnderRace = false

// stride is from one fault, or one position, of a matrix to the next.
const stride = 1

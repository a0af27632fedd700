//go:build !race

package reconciler

// UnderRace is set where the race detector multiplies all times.
const UnderRace = false

// stride is from one position of a matrix of faults to the next.
const stride = 1

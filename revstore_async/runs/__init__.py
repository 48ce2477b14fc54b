"""The runs of the collector as all processes on a store see them: the state, the run lists, the rescues."""

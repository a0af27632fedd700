"""Builds wheels with the setuptools of the Python that runs it, one for each line of standard input.

A line is the path of a folder with a setup.py; the answer is a line of JSON, {"Wheel": path} or
{"Failed": output}. Each folder is built in a fork of this process, which has everything loaded: that is
ten times as fast as a process of its own, and what one setup.py does reaches no other. The first line
that is written says which versions build.
"""
import json
import os
import re
import runpy
import sys
import tempfile
import warnings

import setuptools
from setuptools.command import bdist_egg, build, build_py, egg_info, install, install_egg_info, install_lib, install_scripts  # noqa: F401
from distutils.command import bdist, build_scripts, install_data  # noqa: F401

versions = {"setuptools": setuptools.__version__}
try:
    from setuptools.command import bdist_wheel

    # The name of a wheel's file as jobs have it: new setuptools would make it lower-case, and the dots
    # in it underscores.
    bdist_wheel.safer_name = lambda name: re.sub("[^A-Za-z0-9.]+", "_", name)
except ImportError:
    import wheel
    import wheel.bdist_wheel  # noqa: F401

    versions["wheel"] = wheel.__version__


def build_in_fork(folder, log):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1] == 0
    status = 1
    try:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        os.chdir(folder)
        sys.argv = ["setup.py", "-q", "bdist_wheel"]
        sys.path.insert(0, folder)
        warnings.simplefilter("ignore")
        runpy.run_path("setup.py", run_name="__main__")
        status = 0
    except BaseException as e:
        while e:
            print(repr(e), flush=True)
            e = e.__cause__ or e.__context__
    sys.stdout.flush()
    os._exit(status)


print(json.dumps(versions), flush=True)
for line in sys.stdin:
    folder = line.rstrip("\n")
    answer = {}
    with tempfile.TemporaryFile() as log:
        if build_in_fork(folder, log):
            (name,) = os.listdir(os.path.join(folder, "dist"))
            answer["Wheel"] = os.path.join(folder, "dist", name)
        else:
            log.seek(0)
            answer["Failed"] = log.read().decode("utf-8", "replace") or "no output"
    print(json.dumps(answer), flush=True)

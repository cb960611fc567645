"""How numba's steps are put together for kernels: a part is optimised once, and only kernels become machine code.

By itself numba makes machine code of each part, and links the part into each caller, where LLVM optimises it again. So
a clip took 7.4 s to compile, not 4.7. `compile` uses this file with the versions of numba that it was tried with.
"""

from itertools import islice

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

# Instructions. LLVM inlines a function of 50, and of some more where it knows arguments. Larger ones are not inlined in
# any case, so they are linked to their callers when both are optimised.
INLINED = 100
# Steps for what kernels do not have: closures, literal arguments, None, expressions of whole arrays. Each costs about
# 10 ms for each part, because numba then analyses the part again.
LEFT_OUT = {
    "WithLifting",
    "InlineClosureLikes",
    "RewriteDynamicRaises",
    "MakeFunctionToJitFunction",
    "InlineInlinables",
    "DeadBranchPrune",
    "FindLiterallyCalls",
    "LiteralUnroll",
    "LiteralPropagationSubPipelinePass",
    "InlineOverloads",
    "NopythonRewrites",
    "NoPythonSupportedFeatureValidation",
    "AnnotateTypes",
    "DumpParforDiagnostics",
}


class Kernel(JITCodeLibrary):
    """The code of a kernel: small parts are linked before it is optimised, large ones behind that."""

    def __init__(self, codegen, name):
        super().__init__(codegen, name)
        self.enable_object_caching()
        self.large = {}
        self.size = 0

    def add_linking_library(self, library):
        library._ensure_finalized()
        if isinstance(library, Part) and library.size > INLINED:
            self.large[library] = None
        else:
            super().add_linking_library(library)

    def _optimize_final_module(self):
        super()._optimize_final_module()
        instructions = (one for f in self._final_module.functions for block in f.blocks for one in block.instructions)
        self.size = sum(1 for _ in islice(instructions, INLINED + 1))
        for part in self.large:
            self._final_module.link_in(part._get_module_for_linking(), preserve=True)


class Part(Kernel):
    """The code of an inner function: optimised, but no machine code, which its kernel has."""

    @property
    def codegen(self):
        return self

    def set_env(self, name, env):
        """Nothing: there is no machine code with an address for numba's environment, and kernels never read it."""

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name):
        self._ensure_finalized()
        return 0


def steps(library):
    """A class of compilers whose code is a ``library``, without the steps that kernels do not need."""

    class Steps(Compiler):
        def compile_extra(self, function):
            self.state.library = library(self.state.targetctx.codegen(), function.__qualname__)
            return super().compile_extra(function)

        def define_pipelines(self):
            (found,) = super().define_pipelines()
            found.passes = [step for step in found.passes if step[0].__name__ not in LEFT_OUT]
            found.finalize()
            return [found]

    return Steps


OF_KERNELS, OF_PARTS = {"pipeline_class": steps(Kernel)}, {"pipeline_class": steps(Part)}

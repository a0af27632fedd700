package configs
import ("testing";"strings";"time";"fmt";"runtime")
func TestScratch(t *testing.T){
 N:=1<<18
 pats:=[]string{"[","]","{","}","- ","? ","a","a: b\n","a:\n","'","\"","\\","#","# x\n","|","|\n",">\n x\n","a: |\n  x\n","\t"," ","\n",":",": ",",","[],","{},","a: [b, c]\n","${","${env:A}","token: x\n","token:","a: 'b\n","a: \"b\n\n","&a ","*a ","!a ","%a\n","---\n","...\n","é","\u202e","a:b@","x: https://a@b@","pass","- a\n","- - a\n","a: b","\"\n", "'\n", "a\n", " a\n", "a: x\n  y\n","@","`"}
 start:=time.Now()
 for _,pre:=range []string{"","a: ","a: [","a: \"","a: |\n  ","a:\n  - "} {
 for _,p:=range pats {
  s:=pre+strings.Repeat(p,N/len(p))
  t0:=time.Now(); _,err:=Load(write(t,s),testOptions()); e:=fmt.Sprint(err); if len(e)>60 {e=e[len(e)-60:]}
  if d:=time.Since(t0); d>700*time.Millisecond { var m runtime.MemStats; runtime.ReadMemStats(&m); fmt.Printf("%q %q %v heap %d MB %q\n", pre,p,d, m.Sys>>20,e) }
  if time.Since(start)>250*time.Second { fmt.Println("stop at",pre,p); return }
 }}
}
